"""The two models' own arguments: what each part adds, and what is refused."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.models import tiny


def tokens_of(model):
    return model.get_layer("tokens").output.shape[0]


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


def test_multi_embedding_doubles_the_tables():
    with_sets = tiny.make_rankup().get_layer("embeddings")
    shared = tiny.make_rankup(multi_embedding=False).get_layer("embeddings")
    assert list(with_sets.table_sets) == ["sparse", "global"]
    assert list(shared.table_sets) == ["sparse"]
    rows = sum(table.rows for table in tiny.make_features().tables())
    assert shared.count_params() == 4 * rows
    assert with_sets.count_params() == 2 * 4 * rows


def test_each_sequence_keeps_its_combiner():
    described = [
        rk.Categorical("item", num_ids=9),
        rk.History("seen", of="item", max_length=3),
        rk.History("bought", of="item", max_length=3, combiner="sum"),
    ]
    model = rk.RankUp(rk.FeatureSet(described), ["click"], embedding_dim=4)
    assert model.get_layer("sequence_tokens").combiner == ["mean", "sum"]


def test_the_permutation_is_kept():
    model = tiny.make_rankup(permutation=[2, 0, 1])
    assert model.get_layer("tokenizer").permutation == [2, 0, 1]
    again = model.from_config(tiny.make_rankup(permutation_seed=5).get_config())
    assert again.get_layer("tokenizer").permutation == again.get_config()["permutation"]


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
def test_wrong_arguments(arguments, message):
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
