"""A batch in passes, compiled or not, trains as the whole batch does, trimmed padding and all."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.models.passes import check_passes

ROWS, BATCH = 20, 8


def make_model(**settings):
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet(
        [
            rk.Categorical("item", num_ids=9),
            rk.Numeric("price", normalize=None),
            rk.Timestamp("now"),
            rk.Events("clicks", {"clicked": "item"}, 40, time="at", request_time="now"),
        ]
    )
    tasks = [rk.Task("click"), rk.Task("buy", weight=2.0)]
    l2 = keras.regularizers.L2(0.01)
    model = rk.MixFormer(
        features, tasks, token_dim=8, num_blocks=1, embedding_dim=4, embeddings_regularizer=l2
    )
    model.compile(**settings)
    return model


def make_rows():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 13, ROWS)
    return {
        "item": rng.integers(0, 9, ROWS),
        "price": rng.normal(size=ROWS).astype("float32"),
        "now": np.full(ROWS, 10**6),
        "clicked": [rng.integers(0, 9, n).tolist() for n in counts],
        "at": [np.sort(rng.integers(0, 10**6, n)).tolist() for n in counts],
        "click": rng.integers(0, 2, ROWS),
        "buy": rng.integers(0, 2, ROWS),
    }


def trained(**settings):
    model = make_model(**settings)
    weights = np.linspace(0.5, 2.0, ROWS)
    history = model.fit(
        make_rows(), sample_weight=weights, batch_size=BATCH, epochs=2, verbose=0, shuffle=False
    )
    return model, history.history


@pytest.fixture(scope="module")
def whole():
    return trained(jit_compile=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"rows_per_pass": 3, "jit_compile": False},
        {"rows_per_pass": 3, "jit_compile": True},
    ],
    ids=["plain", "compiled"],
)
def test_a_step_is_that_of_the_whole_batch(whole, settings):
    model, history = trained(**settings)
    for name, values in whole[1].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
    for own, found in zip(whole[0].weights, model.weights, strict=True):
        np.testing.assert_allclose(found, own, atol=1e-4, err_msg=own.path)
    assert model.get_compile_config().get("rows_per_pass") == settings.get("rows_per_pass")


def test_a_batch_is_as_long_as_its_longest_row(whole):
    model, rows = whole[0], make_rows()
    long = {name: [values[0]] for name, values in rows.items()}
    long |= {"clicked": [[1] * 33], "at": [list(range(33))]}
    both = {name: [*values, *long[name]] for name, values in rows.items()}
    read = keras.Model(model.input, model.get_layer("block_1_events_1").output)
    assert read(model.encode(rows)).shape[1] == 12
    assert read(model.encode(both)).shape[1] == 40
    for name, scores in model.predict(both, verbose=0).items():
        np.testing.assert_allclose(
            model.predict(rows, verbose=0)[name], scores[:-1], atol=1e-6, err_msg=name
        )


def test_what_layers_add_to_the_loss():
    """Of experts, and with none of the tables."""
    rng = np.random.default_rng(0)
    rows = {"item": rng.integers(0, 9, 8), "price": rng.normal(size=8), "click": [0, 1] * 4}
    features = rk.FeatureSet(
        [rk.Categorical("item", num_ids=9), rk.Numeric("price", normalize=None)]
    )
    experts = {"kind": "moe", "num_experts": 2}
    model = rk.RankMixer(features, ["click"], token_dim=4, num_tokens=2, num_blocks=1, ffn=experts)
    model.compile(rows_per_pass=3, jit_compile=False, metrics=["binary_crossentropy"])
    logs = model.fit(rows, batch_size=8, verbose=0).history
    assert logs["loss"][0] > logs["binary_crossentropy"][0] + 0.01


def test_what_passes_would_change_is_refused():
    for rows in (0, 2.5, "8", True):
        with pytest.raises(ValueError, match="`rows_per_pass` must be a whole number"):
            check_passes(rows, None, ())
    for reduction in ("sum", "none", None, "mean_with_sample_weight"):
        loss = {"click": keras.losses.BinaryCrossentropy(reduction=reduction)}
        with pytest.raises(ValueError, match="must be a mean over all rows"):
            check_passes(2, loss, ())
    check_passes(np.int64(2), {"click": "mse", "buy": keras.losses.Huber()}, ())
    with pytest.raises(ValueError, match="skip missing labels"):
        check_passes(2, None, {"click"})
