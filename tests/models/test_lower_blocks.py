"""Residuals between blocks and losses of lower ones: in training, and nowhere else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models.lower_blocks import TrainsLowerBlocks
from rankup_keras.serving.exporting.precast_kernels import PrecastKernels
from tests.models import small_rows

LARGE = {"mixing": "tokenmixer_large", "norm": "rms_norm", "placement": "pre", "ffn": "swiglu"}
TASKS = [rk.Task("click"), rk.Task("buy", weight=2.0)]


def make(**settings):
    settings = {"num_blocks": 4, "embedding_dim": 4, **LARGE, **settings}
    keras.utils.set_random_seed(1)
    return rk.RankMixer(small_rows.features(), TASKS, 12, 4, **settings)


@pytest.fixture(scope="module")
def model():
    made = make(inter_residual=2, auxiliary_loss=0.25)
    # Away from the identity, with which blocks of this kind start.
    rng = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign_add(0.05 * rng.normal(size=variable.shape).astype("float32"))
    made.compile("sgd", metrics=[])
    return made


def read(model, *names):
    rows = model.encode(small_rows.raw_rows())
    outputs = {name: model.get_layer(name).output for name in names}
    found = keras.Model(model.input, outputs)(rows)
    return [np.asarray(found[name]) for name in names]


def test_a_residual_leads_around_every_second_block_but_into_the_last(model):
    names = ("tokens", "block_2_ffn", "inter_residual_2", "block_4_ffn")
    start, second, summed, last = read(model, *names)
    np.testing.assert_array_equal(summed, second + start)
    assert "inter_residual_4" not in [layer.name for layer in model.layers]
    # What is pooled is the last block's output alone.
    pooled = keras.Model(model.input, model.get_layer("pooling").output)
    rows = model.encode(small_rows.raw_rows())
    np.testing.assert_allclose(pooled(rows), last.mean(axis=1), rtol=0, atol=1e-6)


def cross_entropy(labels, p):
    p = np.clip(np.asarray(p, "float64")[:, 0], 1e-7, 1 - 1e-7)
    return -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))


def test_the_loss_gains_that_of_a_head_on_every_lower_block(model):
    rows, labels = small_rows.raw_rows(), small_rows.labels()
    (head,) = model.auxiliary_heads
    assert head.name == "auxiliary_1"
    (tokens,) = read(model, "inter_residual_2")
    below = head(tokens.mean(axis=1))
    own = model(model.encode(rows))
    expected = sum(
        task.weight
        * (
            cross_entropy(labels[task.name], own[task.name])
            + 0.25 * cross_entropy(labels[task.name], below[task.name])
        )
        for task in TASKS
    )
    before = [np.array(v) for v in head.trainable_variables]
    found = model.train_on_batch(rows, labels, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    for variable, value in zip(head.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, value)


def test_inference_does_not_know_the_heads(model, tmp_path):
    def operations(made):
        spec = {
            name: tf.TensorSpec((None, *shape), dtype)
            for name, (shape, dtype) in made.features.encoded_spec().items()
        }
        traced = tf.function(lambda x: made(x, training=False)).get_concrete_function(spec)
        kinds = [op.type for op in traced.graph.get_operations()]
        return sorted(kinds), sorted(tuple(v.shape) for v in traced.variables)

    without = make(inter_residual=2)
    assert operations(model) == operations(without)
    rows = small_rows.raw_rows(1)
    assert set(model.predict(rows, verbose=0)) == {"click", "buy"}
    costs = rk.models.measure(model), rk.models.measure(without)
    assert costs[0].flops == costs[1].flops
    assert costs[0].parameters == costs[1].parameters + 2 * (12 + 1) == model.count_params()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    heads = (made.auxiliary_heads[0].weights for made in (loaded, model))
    for a, b in zip(*heads, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(
        loaded.predict(rows, verbose=0)["buy"], model.predict(rows, verbose=0)["buy"], atol=1e-6
    )


def test_heads_take_weights_of_rows_and_a_loss_of_the_users_own():
    model = make(num_blocks=2, auxiliary_loss=0.5)
    model.compile("sgd", loss="binary_crossentropy", metrics=[])
    rows, labels = small_rows.raw_rows(), small_rows.labels()
    weights = {task: np.linspace(0, 2, small_rows.ROWS, dtype="float32") for task in labels}
    losses = [
        float(model.compute_loss(None, {k: v[:, None] for k, v in labels.items()}, p, w))
        for p in (model(model.encode(rows), training=True),)
        for w in (None, weights)
    ]
    assert abs(losses[0] - losses[1]) > 1e-4
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auxiliary_loss": -1.0}, "`auxiliary_loss` must not be negative"),
        ({"inter_residual": -1}, "`inter_residual` must be a number of blocks"),
        ({"norm": "siamese", "mixing": "token_mixing", "inter_residual": 2}, "norm='siamese'"),
        ({"norm": "siamese_blocks"}, "has residual connections of its own.*MixAndRevert"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_models_without_heads_are_keras_models_as_before():
    assert TrainsLowerBlocks._with_heads is None
    assert not PrecastKernels(make(num_blocks=1)).mixings
