"""Every choice that RankUp leaves open, built, trained and reloaded."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.models import small_rows
from tests.reference.attention import cross_network, target_attention

SMALL = {"token_dim": 12, "num_blocks": 1, "embedding_dim": 4}

OPTIONS = {
    "semantic": {
        "tokenizer": "semantic",
        "token_dim": 18,
        "crosses": [["user_vector", "item_vector"]],
    },
    "slice": {"tokenizer": "slice", "num_sparse_tokens": 6, "token_dim": 11},
    "fm": {"global_func": "fm", "global_units": [5]},
    "dcnv2": {"global_func": {"kind": "dcnv2", "num_crosses": 1, "rank": 3}},
    "attention": {"sequence_encoder": "attention"},
    "interactions": {
        "interactions": [["user", "item"], ["city", "item"]],
        "token_dim": 20,
        "multi_embedding": {"interaction": "third", "global": "second"},
    },
    "many_sets": {
        "multi_embedding": {"sparse": ["a", "b"], "global": ["b", "c"], "sequence": ["a", "c"]},
        "table_fields": {"b": ["user", "city"], "a": ["item", "genres", "history", "city"]},
        "sequence_encoder": "attention",
    },
    "joined": {"multi_embedding": "joined", "sequence_encoder": "attention"},
    "mix_and_revert": {"mixing": {"kind": "mix_and_revert", "num_heads": 3}},
    "no_norms": {"token_norm": False, "final_norm": False},
    "full_mixing": {"mixing": {"kind": "full_mixing", "form": "kronecker"}, "token_dim": 10},
}


def make(**settings):
    features = small_rows.features()
    return rk.RankUp(features, ["click", "buy"], **{**SMALL, **settings})


@pytest.mark.parametrize("option", OPTIONS)
def test_trains_saves_and_reloads(option, tmp_path):
    model = make(**OPTIONS[option])
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


def test_tokens_enter_the_first_block_normalised():
    model = make()
    names = ("assembled_tokens", "tokens")
    tokens = keras.Model(model.input, [model.get_layer(name).output for name in names])
    raw, normal = (np.array(x, "float64") for x in tokens(model.encode(small_rows.raw_rows())))
    # Families differ in scale before, and not after.
    scales = np.sqrt(np.square(raw).mean(axis=-1)).mean(axis=1)
    assert scales.max() > 3 * scales.min()
    center = raw - raw.mean(axis=-1, keepdims=True)
    expected = center / np.sqrt(np.square(center).mean(axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normal, expected, rtol=0, atol=1e-4)


def test_ranks_are_read_of_the_tokens_that_enter_the_first_block():
    model = make()
    profile = rk.diagnostics.rank_profile(model, small_rows.raw_rows(), layers=["tokens"])
    tokens = keras.Model(model.input, model.get_layer("tokens").output)
    by_token = np.array(tokens(model.encode(small_rows.raw_rows())))
    ranks = rk.diagnostics.effective_rank(by_token.swapaxes(0, 1))
    assert profile.layers["tokens"].mean == pytest.approx(float(np.mean(ranks)), rel=1e-4)
    # Without the norm, those are the tokens as they are assembled.
    plain = make(token_norm=False)
    assert isinstance(plain.get_layer("tokens"), rk.layers.TokenAssembly)


def tables(model):
    """Parameters in the tables of each set."""
    found = {}
    for name, table in model.get_layer("embeddings").get_tables().items():
        table_set = name.partition("/")[0]
        found[table_set] = found.get(table_set, 0) + table.size
    return found


def test_a_family_has_tables_of_its_own():
    assert set(tables(make())) == {"sparse", "global"}
    assert set(tables(make(multi_embedding=False))) == {"sparse"}
    assert set(tables(make(**OPTIONS["many_sets"]))) == {"a", "b", "c"}
    assert set(tables(make(**OPTIONS["interactions"]))) == {"sparse", "second", "third"}


def test_a_set_holds_the_fields_asked_for_and_no_other():
    rows = {t.name: t.rows for t in small_rows.features().tables()}
    held = tables(make(**OPTIONS["many_sets"]))
    assert held["b"] == 4 * (rows["user"] + rows["city"])
    # The interactions' own set has no table for genres, which no interaction names.
    third = tables(make(**OPTIONS["interactions"]))["third"]
    assert third == 4 * (rows["user"] + rows["item"] + rows["city"])


@pytest.mark.parametrize(
    "more", [{}, {"interactions": [["user", "city"]]}], ids=["plain", "interactions"]
)
def test_the_control_has_as_many_parameters_in_one_set(more):
    def size(multi_embedding):
        features = small_rows.features(item_dim=6)
        model = rk.RankUp(
            features,
            ["click"],
            **{**SMALL, "token_dim": None, "multi_embedding": multi_embedding, **more},
        )
        return model.get_layer("embeddings").count_params()

    assert size("joined") == size(True) > size(False)


def test_several_sets_of_sparse_fields_stand_in_one_permutation():
    model = make(**OPTIONS["many_sets"])
    # item, genres and city of the one, user and city of the other.
    assert sorted(model.get_config()["permutation"]) == list(range(5))
    names = {layer.name for layer in model.layers}
    assert {"global_token_1", "global_token_2", "sequence_tokens_1", "sequence_tokens_2"} <= names


def test_semantic_tokens_are_the_groups_and_then_the_rest():
    model = make(**OPTIONS["semantic"])
    assert model.get_layer("tokenizer").groups == [[0, 2], [1], [3]]
    assert model.get_config()["num_sparse_tokens"] == 3


def test_attention_reads_candidate_and_history_from_one_set():
    model = make(sequence_encoder="attention")
    attention = model.get_layer("sequence_tokens_attention_1")
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
    model = make(global_func="dcnv2")
    first, last = model.get_layer("global_cross_1"), model.get_layer("global_cross_2")
    start = keras.Model(model.inputs, first.input[0])
    part = keras.Model(model.inputs, last.output)
    encoded = model.encode(small_rows.raw_rows())
    kernels = [np.asarray(layer.weights[0]) for layer in (first, last)]
    biases = [np.asarray(layer.weights[1]) for layer in (first, last)]
    expected = cross_network(start(encoded), kernels, biases)
    np.testing.assert_allclose(part(encoded), expected, rtol=0, atol=1e-5)


def test_tokens_need_not_divide_the_width_where_heads_are_not_tokens():
    model = make(mixing={"kind": "mix_and_revert", "num_heads": 4})
    tokens = model.get_layer("tokens").output.shape[0]
    assert SMALL["token_dim"] % tokens


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
        make(**settings)


def test_semantic_tokens_need_a_group():
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("city")])
    features.adapt({k: v for k, v in small_rows.raw_rows().items() if k in ("user", "city")})
    with pytest.raises(ValueError, match=r"needs features with a `group`.*'user', 'city'"):
        rk.RankUp(features, ["click"], tokenizer="semantic")


def test_fm_needs_equal_widths():
    features = small_rows.features(item_dim=6)
    with pytest.raises(ValueError, match="all be equally wide"):
        rk.RankUp(features, ["click"], **{**SMALL, "token_dim": None, "global_func": "fm"})


def test_pretrained_vectors_outside_crosses_reach_the_output():
    model = make()
    rows = small_rows.raw_rows()
    assert model.get_layer("dense_token").input.shape[1] == 2 * rows["user_vector"].shape[1] + len(
        small_rows.features().numeric_names()
    )
    before = model.predict(rows, verbose=0)["click"]
    after = model.predict({**rows, "user_vector": rows["user_vector"] + 1}, verbose=0)["click"]
    assert np.abs(after - before).min() > 0


def test_a_crossed_vector_is_read_once():
    crossed = make(crosses=[["user_vector", "item_vector"]], token_dim=18)
    names = small_rows.features().numeric_names()
    if names:
        assert crossed.get_layer("dense_token").input.shape[1] == len(names)
    else:
        assert "dense_token" not in [layer.name for layer in crossed.layers]
