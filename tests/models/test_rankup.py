"""RankUp's choices, built, trained and reloaded."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.models import small_rows, tiny


@pytest.mark.parametrize("option", small_rows.RANKUPS)
def test_trains_saves_and_reloads(option, tmp_path):
    model = small_rows.rankup(**small_rows.RANKUPS[option])
    model.compile(keras.optimizers.Adam(0.01))
    before = [np.array(v) for v in model.trainable_variables]
    history = model.fit(small_rows.raw_rows(), small_rows.labels(), batch_size=24, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for variable, value in zip(model.trainable_variables, before, strict=True):
        if not variable.path.endswith("missing_bias"):  # no vector is missing here
            assert not np.array_equal(variable, value), f"{variable.path} did not change"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    rows = small_rows.raw_rows(1)
    for task, probability in model.predict(rows, verbose=0).items():
        np.testing.assert_allclose(
            loaded.predict(rows, verbose=0)[task], probability, rtol=0, atol=1e-6
        )


def test_tokens_enter_the_first_block_normalized():
    model = small_rows.rankup()
    names = ("assembled_tokens", "tokens")
    tokens = keras.Model(model.input, [model.get_layer(name).output for name in names])
    raw, normal = (np.array(x, "float64") for x in tokens(model.encode(small_rows.raw_rows())))
    # Families differ in scale before, and not after.
    scales = np.sqrt(np.square(raw).mean(axis=-1)).mean(axis=0)
    assert scales.max() > 3 * scales.min()
    center = raw - raw.mean(axis=-1, keepdims=True)
    expected = center / np.sqrt(np.square(center).mean(axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normal, expected, rtol=0, atol=1e-4)


def test_ranks_are_read_of_the_tokens_that_enter_the_first_block():
    model = small_rows.rankup()
    profile = rk.diagnostics.rank_profile(model, small_rows.raw_rows(), layers=["tokens"])
    tokens = keras.Model(model.input, model.get_layer("tokens").output)
    rows = np.array(tokens(model.encode(small_rows.raw_rows())))
    ranks = rk.diagnostics.effective_rank(rows)
    assert profile.layers["tokens"].mean == pytest.approx(float(np.mean(ranks)), rel=1e-4)
    # Without the norm, those are the tokens as they are assembled.
    plain = small_rows.rankup(token_norm=False)
    assert isinstance(plain.get_layer("tokens"), rk.layers.TokenAssembly)


def test_tokens_need_not_divide_the_width_where_heads_are_not_tokens():
    model = small_rows.rankup(mixing={"kind": "mix_and_revert", "num_heads": 4})
    tokens = model.get_layer("tokens").output.shape[1]
    assert small_rows.SMALL["token_dim"] % tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer": "hash"}, "`tokenizer` must be one of"),
        ({"sequence_encoder": "gru"}, "`sequence_encoder` must be one of"),
        ({"global_func": "sum"}, "`global_func` must be one of"),
        ({"global_func": {"kind": "mlp", "num_crosses": 2}}, r"no arguments \['num_crosses'\]"),
        ({"mixing": "attention"}, "`mixing` must be one of"),
        ({"multi_embedding": "wide"}, "`multi_embedding` must be a bool, 'joined'"),
        ({"multi_embedding": {"tasks": "a"}}, "`multi_embedding` must name token families"),
        ({"multi_embedding": {"sparse": []}}, r"gives no table set to \['sparse'\]"),
        ({"table_fields": {"other": ["user"]}}, "`table_fields` must name table sets"),
        ({"interactions": [["user"]], "token_dim": None}, "`interactions` must be pairs"),
        ({"interactions": [["user", "history"]], "token_dim": None}, "'history'"),
        ({"tokenizer": "semantic", "num_sparse_tokens": 2}, "there are 3 groups"),
        (
            {"sequence_encoder": "attention", "table_fields": {"sparse": ["user", "history"]}},
            "holds no single-valued or multi-valued field 'item'",
        ),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        small_rows.rankup(**settings)


def tokens_of(model):
    return model.get_layer("tokens").output.shape[1]


def test_tokens_of_every_family():
    model = tiny.make_rankup()
    # Sparse, global, dense, one sequence, one cross, two tasks.
    assert tokens_of(model) == 2 + 1 + 1 + 1 + 1 + 2
    names = {layer.name for layer in model.layers}
    assert {"tokenizer", "global_token", "dense_token", "sequence_tokens"} < names
    assert {"crossed_tokens", "task_tokens", "tokens", "block_2_mixer", "block_2_ffn"} < names


@pytest.mark.parametrize(
    ("arguments", "fewer"),
    [({"crosses": ()}, 1), ({"task_tokens": False}, 2), ({"global_units": None}, 1)],
)
def test_a_family_less(arguments, fewer):
    model = tiny.make_rankup(token_dim=2 * (8 - fewer), num_sparse_tokens=2, **arguments)
    assert tokens_of(model) == 8 - fewer
    assert model.from_config(model.get_config()).get_config() == model.get_config()


def test_dropout_is_off_when_predicting():
    model = tiny.make_rankup(dropout=0.5, embedding_dropout=0.5)
    rows = model.encode(tiny.make_rows())
    first, second = (model(rows, training=False)["click"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.any(model(rows, training=True)["click"].numpy() != first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crosses": [("user_vector", "age")]}, r"pairs of names of Pretrained.*\['item_vector'"),
        ({"crosses": [("user_vector",)]}, "`crosses` must be pairs"),
        ({"permutation": [0, 0, 1]}, "`permutation` must name each of the 3 fields once"),
        ({"norm": "batch"}, "`norm` must be one of"),
        ({"expansion": 0}, "`expansion` must be positive"),
        ({"num_blocks": 0}, "`num_blocks` must be positive"),
        ({"num_sparse_tokens": 4}, "between 1 and the number of fields, 3"),
        ({"token_dim": 5}, "No number of sparse tokens makes the total divide token_dim=5"),
        ({"embedding_dim": 0}, "`embedding_dim` must be positive"),
        ({"embeddings_initializer": "glorot_uniform"}, "`embeddings_initializer` must not depend"),
    ],
)
def test_wrong_sizes_and_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny.make_rankup(**arguments)


def test_rows_without_categories():
    features = rk.FeatureSet([rk.Numeric("n", normalize=None), rk.Pretrained("v", dim=3)])
    with pytest.raises(ValueError, match=r"at least one Categorical.*\['n', 'v'\]"):
        rk.RankUp(features, ["click"])
    model = rk.RankMixer(features, ["click"], 8, 4, 1, embedding_dim=4)
    model.compile()
    rows = {"n": np.arange(8.0), "v": np.ones((8, 3))}
    history = model.fit(rows, np.arange(8) % 2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_features_that_have_learned_nothing():
    for model in (rk.RankUp, rk.RankMixer):
        with pytest.raises(ValueError, match=r"Features \['c'\] have learned nothing yet"):
            model(rk.FeatureSet([rk.Categorical("c")]), ["click"])
