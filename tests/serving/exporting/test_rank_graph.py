import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.serving.exporting.rank_graph import RankGraph
from rankup_keras.serving.exporting.rank_inputs import RankInputs
from tests.serving import stand_in

USER = ["user_id", "age", "city", "interests", "history", "user_vector"]


def rank(model, user_columns=None, count=6):
    """Scores by the cut graph, and by the whole model on full rows."""
    inputs = RankInputs(model.features, user_columns)
    rows = stand_in.make_rows(count, seed=3)
    for name in inputs.user:
        rows[name] = rows[name][:1]
    columns = {
        name: tf.constant(v.tolist() if v.dtype == object else v) for name, v in rows.items()
    }
    mine, theirs = inputs.encode(
        model.features,
        {name: columns[name] for name in inputs.user},
        {name: columns[name] for name in inputs.candidate},
    )
    graph = RankGraph(model, inputs)
    full = {k: v.repeat(count, 0) if k in inputs.user else v for k, v in rows.items()}
    return graph, graph(mine, theirs, count), model(model.features.encode(full), training=False)


def assert_same(got, want):
    assert set(got) == set(want)
    for task in want:
        assert np.ptp(want[task]) > 0
        np.testing.assert_allclose(got[task], want[task], atol=1e-6)


@pytest.fixture(scope="module")
def features():
    return stand_in.make_features()


@pytest.mark.parametrize("kind", ["rankup", "rankmixer"])
def test_equals_the_model_on_full_rows(features, kind):
    if kind == "rankup":
        model = rk.RankUp(
            features, ["click", "buy"], token_dim=32, embeddings_initializer="random_normal"
        )
    else:
        model = rk.RankMixer(
            features, ["click", "buy"], token_dim=32, embeddings_initializer="random_normal"
        )
    graph, got, want = rank(model)
    assert graph.embedding is not None
    # The history is pooled once: neither its rows nor its ids go behind the cut.
    assert not any(key.endswith("/history") or key == "encoded_ids" for key in graph.cut)
    assert_same(got, want)


@pytest.mark.parametrize(
    "user_columns",
    [
        ["user_id"],
        ["age"],
        ["user_vector"],
        ["history", "genres"],
        ["item_id", "shop", "genres", "price", "item_vector"],
        [*USER, "shop", "genres", "price", "item_vector"],
    ],
)
def test_any_split_of_the_columns(features, user_columns):
    model = rk.RankUp(features, ["click"], token_dim=32, embeddings_initializer="random_normal")
    assert_same(*rank(model, user_columns)[1:])


def test_a_sequence_of_the_candidates(features):
    model = rk.RankUp(features, ["click"], token_dim=32, embeddings_initializer="random_normal")
    graph, got, want = rank(model, ["user_id", "city"])
    assert any(key.endswith("/history") for key in graph.cut)
    assert_same(got, want)


def test_a_model_that_is_not_cut():
    graph, got, want = rank(stand_in.make_model())
    assert graph.embedding is None
    assert_same(got, want)


def test_the_candidates_do_not_look_up_the_user(features):
    model = rk.RankUp(features, ["click"], token_dim=32)
    graph = RankGraph(model, RankInputs(features))
    assert {field.name for field in graph.candidate_embedding.fields} == {
        "item_id",
        "shop",
        "genres",
    }
    assert all(
        any(mine is theirs for theirs in model.get_layer("embeddings").weights)
        for mine in graph.candidate_embedding.table_variables
    )


def test_layers_over_one_sided_inputs():
    """Every field is the user's: nothing is looked up for a candidate, whose price decides."""
    features = rk.FeatureSet(
        [
            rk.Categorical("user_id", vocabulary=stand_in.USERS, side="user"),
            rk.History("seen", of="user_id", max_length=3),
            rk.Numeric("price", normalize=None),
        ]
    )
    features.adapt({"user_id": ["a"], "seen": [["a"]], "price": [1.0]})
    model = rk.RankUp(features, ["click"], token_dim=35, num_blocks=1)
    graph = RankGraph(model, RankInputs(features))
    assert graph.candidate_embedding is None
    inputs = RankInputs(features)
    mine, theirs = inputs.encode(
        features,
        {"user_id": tf.constant(["user3"]), "seen": tf.constant([["user1", "user2"]])},
        {"price": tf.constant([0.5, -1.0])},
    )
    full = {"user_id": ["user3"] * 2, "seen": [["user1", "user2"]] * 2, "price": [0.5, -1.0]}
    np.testing.assert_allclose(
        graph(mine, theirs, 2)["click"], model(features.encode(full))["click"], atol=1e-6
    )


def test_half_precision(features):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = rk.RankUp(features, ["click"], token_dim=32, embeddings_initializer="random_normal")
    _, got, want = rank(model)
    np.testing.assert_allclose(got["click"], want["click"], atol=2e-2)


def test_a_candidate_costs_less_by_the_users_share_of_the_tokens(features):
    """Operations of the networks in the blocks behind the cut, which run for every candidate."""
    settings = {"token_dim": 32, "num_tokens": 8, "num_blocks": 3}
    model = rk.RankMixer(features, ["click"], user_item_mask=True, **settings)

    def of_networks(part):
        return sum(p.flops for p in rk.models.measure(part).parts if p.name.endswith("_ffn"))

    user = model.get_layer("user_tokens").output.shape[1]
    assert 0 < user < 8
    behind = RankGraph(model, RankInputs(model.features))._tail
    assert of_networks(model) == of_networks(rk.RankMixer(features, ["click"], **settings))
    assert of_networks(behind) == of_networks(model) * (8 - user) / 8
