"""What each family makes of a row."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.models import small_rows
from tests.reference.attention import cross_network, target_attention


def test_attention_reads_candidate_and_history_from_one_set():
    model = small_rows.rankup(sequence_encoder="attention")
    attention = model.get_layer("attended_sequence_tokens_attention_1")
    part = keras.Model(model.inputs, [attention.output, *attention.input])
    encoded = model.encode(small_rows.raw_rows())
    found, items, ids, candidate = (np.asarray(x) for x in part(encoded))
    weights = {v.name: np.asarray(v) for v in attention.weights}
    expected = target_attention(items, ids, candidate, weights["query"], weights["key"])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    # A history that holds the candidate itself holds its very vector.
    fields = {field.name: field for field in model.features.fields()}
    item = np.asarray(encoded["encoded_ids"])[:, fields["item"].start]
    same = np.argwhere(ids == item[:, None])
    assert len(same)
    for row, place in same:
        np.testing.assert_array_equal(items[row, place], candidate[row])


def test_the_global_token_of_cross_layers():
    model = small_rows.rankup(global_func="dcnv2")
    first, last = model.get_layer("global_cross_1"), model.get_layer("global_cross_2")
    start = keras.Model(model.inputs, first.input[0])
    part = keras.Model(model.inputs, last.output)
    encoded = model.encode(small_rows.raw_rows())
    kernels = [np.asarray(layer.weights[0]) for layer in (first, last)]
    biases = [np.asarray(layer.weights[1]) for layer in (first, last)]
    expected = cross_network(start(encoded), kernels, biases)
    np.testing.assert_allclose(part(encoded), expected, rtol=0, atol=1e-5)


def test_fm_needs_equal_widths():
    features = small_rows.features(item_dim=6)
    with pytest.raises(ValueError, match="all be equally wide"):
        rk.RankUp(
            features, ["click"], **{**small_rows.SMALL, "token_dim": None, "global_func": "fm"}
        )


def test_pretrained_vectors_outside_crosses_reach_the_output():
    model = small_rows.rankup()
    rows = small_rows.raw_rows()
    assert model.get_layer("dense_token").input.shape[1] == 2 * rows["user_vector"].shape[1] + len(
        small_rows.features().numeric_names()
    )
    before = model.predict(rows, verbose=0)["click"]
    after = model.predict({**rows, "user_vector": rows["user_vector"] + 1}, verbose=0)["click"]
    assert np.abs(after - before).min() > 0


def test_a_crossed_vector_is_read_once():
    crossed = small_rows.rankup(crosses=[["user_vector", "item_vector"]], token_dim=18)
    names = small_rows.features().numeric_names()
    if names:
        assert crossed.get_layer("dense_token").input.shape[1] == len(names)
    else:
        assert "dense_token" not in [layer.name for layer in crossed.layers]


def test_each_sequence_keeps_its_combiner():
    described = [
        rk.Categorical("item", num_ids=9),
        rk.History("seen", of="item", max_length=3),
        rk.History("bought", of="item", max_length=3, combiner="sum"),
    ]
    model = rk.RankUp(rk.FeatureSet(described), ["click"], embedding_dim=4)
    assert model.get_layer("sequence_tokens").combiner == ["mean", "sum"]


def with_extra(*layers, **settings):
    return small_rows.rankup(extra_tokens=layers, **{"token_dim": None, **settings})


def test_extra_tokens_read_the_features_named(tmp_path):
    layer = rk.layers.GlobalToken(64, hidden_units=[5])
    model = with_extra((layer, ["city", "price", "item_vector"]))
    extra = model.get_layer("extra_tokens_1")
    assert extra.input.shape[1:] == (4 + 2 + 3,)
    assert not layer.built
    # Global, dense, sequence, extra and two task tokens stand beside the sparse ones.
    assert 64 % (model.get_config()["num_sparse_tokens"] + 6) == 0
    model.compile(keras.optimizers.Adam(0.01))
    before = [np.array(v) for v in extra.trainable_variables]
    model.fit(small_rows.raw_rows(), small_rows.labels(), verbose=0)
    for variable, value in zip(extra.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, value)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    rows = small_rows.raw_rows(1)
    np.testing.assert_allclose(
        loaded.predict(rows, verbose=0)["buy"], model.predict(rows, verbose=0)["buy"], atol=1e-6
    )


def test_extra_tokens_may_have_a_table_set_of_their_own():
    layer = rk.layers.GlobalToken(64)
    model = with_extra(
        (layer, ["city"]), (layer, ["user", "price"]), multi_embedding={"extra": "time"}
    )
    table_sets = model.get_layer("embeddings").table_sets
    assert table_sets == {"sparse": None, "time": ("user", "city")}
    twice = with_extra((layer, ["city"]), multi_embedding={"extra": ["time", "sparse"]})
    names = {layer.name for layer in twice.layers}
    assert {"extra_tokens_1_1", "extra_tokens_2_1"} <= names


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["layer"], "`extra_tokens` must be pairs of a layer"),
        ([("mlp", ["city"])], "`extra_tokens` must be pairs of a layer"),
        (
            [(rk.layers.GlobalToken(64), [])],
            r"must be pairs of a layer \(an instance, not a class\) and a list of features",
        ),
        ([(rk.layers.GlobalToken(64), ["town"])], r"chosen from \['user', .* 'item_vector'\]"),
        ([(rk.layers.GlobalToken(64), ["history"])], "that are not sequences"),
        ([(keras.layers.Dense(64), ["city"])], r"must be layers that make \(batch, tokens"),
        ([(rk.layers.GlobalToken(32), ["city"])], r"token_dim=64, and .* widths \[32\]"),
    ],
)
def test_unsuited_extra_tokens(extra, message):
    with pytest.raises(ValueError, match=message):
        with_extra(*extra)


def test_a_global_function_of_ones_own(tmp_path):
    model = small_rows.rankup(
        global_func=keras.layers.Dense(7, "tanh"),
        multi_embedding={"global": ["a", "b"]},
        token_dim=None,
    )
    first, second = (model.get_layer(f"global_func_{i}") for i in (1, 2))
    assert not np.array_equal(first.kernel, second.kernel)
    assert model.get_layer("global_token_1").input.shape[1:] == (7,)
    assert model.from_config(model.get_config()).get_config() == model.get_config()
    with pytest.raises(ValueError, match=r"`global_func` must be a layer that makes \(batch"):
        small_rows.rankup(global_func=rk.layers.GlobalToken(12))
