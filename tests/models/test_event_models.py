"""What every model of events has to stand: padding, the future, other candidates, cost."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.diagnostics.taps import Taps
from rankup_keras.diagnostics.token_sources import token_sources
from rankup_keras.models.event_sequence import choices_by_sequence
from rankup_keras.models.token_streams import shares
from rankup_keras.serving.exporting.rank_graph import RankGraph
from rankup_keras.serving.exporting.rank_inputs import RankInputs

ROWS, LENGTH = 24, 20  # longer than any row has events, so that padding is trimmed
ITEMS = [f"i{n}" for n in range(8)]
TINY = {"embedding_dim": 4, "num_blocks": 2, "embeddings_initializer": "random_normal"}
ENCODERS = {"clicks": "longer", "buys": "din", "seen": "attention"}
MAKERS = {
    "mixformer": lambda f, **k: rk.MixFormer(f, ["click"], token_dim=8, **TINY, **k),
    "hyformer": lambda f, **k: rk.HyFormer(f, ["click"], token_dim=16, num_queries=1, **TINY, **k),
    "rankmixer": lambda f, **k: rk.RankMixer(f, ["click"], token_dim=8, **TINY, **k),
    "rankup": lambda f, **k: rk.RankUp(
        f, ["click"], token_dim=24, **TINY, **{"sequence_encoder": ENCODERS, **k}
    ),
}


def make_features(length=LENGTH):
    return rk.FeatureSet(
        [
            rk.Categorical("user", num_ids=9, side="user"),
            rk.Categorical("city", num_ids=5, side="user"),
            rk.Categorical("item", vocabulary=ITEMS, side="candidate"),
            rk.Categorical("category", num_ids=4, side="candidate"),
            rk.Timestamp("now"),
            rk.Numeric("price", normalize=None, side="candidate"),
            rk.History("seen", of="item", max_length=3, matches=True),
            rk.Events(
                "clicks",
                ids={"clicked": "item", "of_category": "category", "action": 3},
                max_length=length,
                time="at",
                request_time="now",
                numbers={"dwell": None},
                matches=True,
            ),
            rk.Events("buys", ids={"bought": "item"}, max_length=4, order="newest_first"),
        ]
    )


def make_rows(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)

    def lists(draw, counts):
        return [draw(n) for n in counts]

    counts = [0, 9, *rng.integers(0, 9, rows - 2)]
    items = np.array(ITEMS)
    return {
        "user": rng.integers(0, 9, rows),
        "city": rng.integers(0, 5, rows),
        "item": rng.choice(items, rows),
        "category": rng.integers(0, 4, rows),
        "now": rng.integers(50_000, 90_000, rows),
        "price": rng.normal(size=rows).astype("float32"),
        "seen": lists(lambda n: rng.choice(items, n % 4).tolist(), counts),
        "clicked": lists(lambda n: rng.choice(items, n).tolist(), counts),
        "of_category": lists(lambda n: rng.integers(0, 4, n).tolist(), counts),
        "action": lists(lambda n: rng.integers(0, 3, n).tolist(), counts),
        "at": lists(lambda n: np.sort(rng.integers(0, 50_000, n)).tolist(), counts),
        "dwell": lists(lambda n: rng.random(n).tolist(), counts),
        "bought": lists(lambda n: rng.choice(items, n % 6).tolist(), counts),
    }


@pytest.fixture(scope="module")
def features():
    return make_features()


@pytest.fixture(scope="module", params=MAKERS)
def masked(request, features):
    return MAKERS[request.param](features, user_item_mask=True)


@pytest.fixture(scope="module", params=MAKERS)
def plain(request, features):
    return MAKERS[request.param](features)


def scores(model, rows):
    return np.asarray(model(model.encode(rows), training=False)["click"])


def with_late_events(rows, seed):
    """Events at and after the request behind those that are there, of random values."""
    other, rows = make_rows(seed=seed), dict(rows)
    for column in ("clicked", "of_category", "action", "dwell"):
        rows[column] = [a + b[:2] for a, b in zip(rows[column], other[column], strict=True)]
    added = [len(a) - len(b) for a, b in zip(rows["clicked"], rows["at"], strict=True)]
    late = zip(rows["at"], rows["now"], added, strict=True)
    rows["at"] = [[*at, *(int(now) + k for k in range(n))] for at, now, n in late]
    return rows


def test_late_events_change_no_score_and_no_gradient(plain):
    rows = make_rows()
    found = []
    for data in (rows, with_late_events(rows, 1), with_late_events(rows, 2)):
        if data is rows:
            encoded = plain.encode(data)
        else:
            with pytest.warns(UserWarning, match="are not known to be before"):
                encoded = plain.encode(data)
        with tf.GradientTape() as tape:
            y = plain({k: tf.constant(v) for k, v in encoded.items()}, training=False)["click"]
        gradients = tape.gradient(y, plain.trainable_variables)
        found.append([y, *(tf.convert_to_tensor(g) for g in gradients if g is not None)])
    for other in found[1:]:
        for before, after in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(before, after)


def test_more_padding_changes_nothing(plain):
    rows = make_rows()
    wider = dict(rows)
    for column, padding in (
        ("clicked", ""), ("of_category", -1), ("action", -1), ("at", -1), ("dwell", np.nan),
        ("bought", ""),
    ):  # fmt: skip
        wider[column] = [[*row, *[padding] * (14 - len(row))] for row in rows[column]]
    np.testing.assert_array_equal(scores(plain, wider), scores(plain, rows))
    assert np.isfinite(scores(plain, rows)).all()


def test_events_have_a_say(plain):
    rows = make_rows()
    other = {**rows, "action": [[(a + 1) % 3 for a in row] for row in rows["action"]]}
    changed = np.abs(scores(plain, other) - scores(plain, rows))[:, 0] > 0
    assert changed.tolist() == [len(row) > 0 for row in rows["action"]]


def test_another_candidate_leaves_the_users_rows_bit_for_bit(masked):
    rows, other = make_rows(), make_rows(seed=7)
    other = {**rows, **{name: other[name] for name in ("item", "category", "price")}}
    names = [layer.name for layer in masked.layers if layer.name.endswith("_user_ffn")]
    assert len(names) == 2
    users = keras.Model(masked.input, [masked.get_layer(name).output for name in names])
    for mine, theirs in zip(users(masked.encode(rows)), users(masked.encode(other)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (scores(masked, rows) != scores(masked, other)).all()


def test_candidates_over_one_user_are_as_rows(masked):
    inputs = RankInputs(masked.features)
    rows = make_rows(seed=3)
    graph = RankGraph(masked, inputs)
    # The user's rows of every block are made once.
    assert any("block_2" in key or "final_norm" in key for key in graph.cut)
    columns = {
        name: tf.ragged.constant(v) if isinstance(v[0], list) else tf.constant(v)
        for name, v in rows.items()
    }
    spec = masked.features.raw_spec()
    row = {n: x[1:2] for n, x in columns.items() if n in inputs.user}
    candidates = {n: x for n, x in columns.items() if n in inputs.candidate}
    mine, theirs = inputs.encode(masked.features, row, candidates)
    full = {n: [v[1]] * ROWS if n in inputs.user else v for n, v in rows.items()}
    assert set(row) | set(candidates) == set(spec)
    compiled = tf.function(lambda a, b: graph(a, b, ROWS)["click"])
    np.testing.assert_allclose(compiled(mine, theirs), scores(masked, full), atol=1e-6)


def test_attention_over_events_takes_one_row_of_them(features):
    # HyFormer's attention reads the masks of two sequences as they are.
    for name, reader, masks in (("mixformer", "block_1_events", 0), ("hyformer", "event_norm", 2)):
        graph = RankGraph(MAKERS[name](features), RankInputs(features))
        assert any(reader in key for key in graph.once), (name, graph.once)
        # Of the candidates' ids only those that are compared go behind the cut.
        assert "encoded_ids" not in graph.cut
        # What is compared with candidates: ids of three columns, gaps and numbers.
        assert sum("take_columns" in key for key in graph.once) == 3
        assert sum("get_item" in key for key in graph.once) == 2 + masks


def test_reload_and_ranks(masked, tmp_path):
    rows = make_rows()
    masked.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(scores(again, rows), scores(masked, rows))
    names = Taps(masked).names
    assert {"block_1_user_ffn", "block_2_item_ffn"} <= set(names)


def test_taps_see_queries_and_events(features):
    assert {"block_1_query", "block_2_events_1"} <= set(Taps(MAKERS["hyformer"](features)).names)


def test_cost_is_linear_in_the_number_of_events():
    for name in ("mixformer", "hyformer"):
        found = []
        for length in (20, 40, 60):
            parts = rk.models.cost(
                lambda f, tasks, name=name: MAKERS[name](f), make_features(length), ["click"]
            ).parts
            found.append(sum(part.flops for part in parts))
        assert found[1] - found[0] == found[2] - found[1] > 0


def test_hyformer_counts_its_queries():
    features = make_features()
    sizes = {"num_tokens": 13, "num_queries": 1, "num_blocks": 1}  # of three sequences
    found = rk.models.cost(rk.HyFormer, features, ["click"], token_dim=64, **sizes)
    assert found.parameters > 0
    with pytest.raises(ValueError, match=r"T=16 \(3 queries and num_tokens=13\), D=60"):
        rk.models.cost(rk.HyFormer, features, ["click"], token_dim=60, **sizes)


@pytest.mark.parametrize("kind", ["transformer", "longer", "hstu", "din", "attention", "mean"])
def test_every_encoder_makes_a_field(kind):
    settings = {"token_dim": 8, "embedding_dim": 4, "sequence_encoder": {"kind": kind}}
    found = rk.models.cost(rk.RankMixer, make_features(), ["click"], **settings)
    assert found.flops > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: rk.MixFormer(f, ["click"], num_heads=1, user_item_mask=True), "must be even"),
        (lambda f: rk.MixFormer(f, ["click"], token_dim=8, num_heads=3), "`num_heads` must divide"),
        (
            lambda f: rk.RankMixer(f, ["click"], mixing="full_mixing", user_item_mask=True),
            "needs mixing='token_mixing'",
        ),
        (
            lambda f: rk.RankUp(f, ["click"], tokenizer="slice", user_item_mask=True),
            "needs tokenizer='permutation'",
        ),
        (lambda f: rk.RankUp(f, ["click"], sequence_encoder={"x": "din"}), "must name sequences"),
        (lambda f: rk.RankUp(f, ["click"], sequence_encoder="rnn"), "`sequence_encoder` must be"),
    ],
    ids=["odd heads", "heads", "mixing", "tokenizer", "sequence", "encoder"],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(make_features())


def test_models_of_events_need_some():
    features = rk.FeatureSet([rk.Categorical("item", num_ids=3)])
    with pytest.raises(ValueError, match="MixFormer needs a sequence: an Events or History"):
        rk.MixFormer(features, ["click"])
    features = rk.FeatureSet([rk.Categorical("item", num_ids=3), rk.History("h", "item", 2)])
    with pytest.raises(ValueError, match="`user_item_mask` needs a feature of side='user'"):
        rk.HyFormer(features, ["click"], user_item_mask=True)


def test_shares_and_choices():
    assert shares(5, {"user_": 1, "item_": 99}) == {"user_": 1, "item_": 4}
    assert choices_by_sequence({"a": "din"}, ["a", "b"]) == {"a": "din", "b": "mean"}
    with pytest.raises(ValueError, match="a token of the user and one of the candidate"):
        shares(1, {"user_": 1, "item_": 1})


def planted(rows, seed):
    """In every row one event is of the candidate; what it was and when decides."""
    rng = np.random.default_rng(seed)
    now = 10**8
    item = rng.integers(0, 6, rows)
    events = rng.integers(0, 6, (rows, 5))
    events = np.where(events == item[:, None], (events + 1) % 6, events)
    place = rng.integers(0, 5, rows)
    events[np.arange(rows), place] = item
    action = rng.integers(0, 2, (rows, 5))
    gap = np.where(rng.random((rows, 5)) < 0.5, 600, 30 * 86_400) + np.arange(5)[::-1]
    order = np.argsort(-gap, axis=1, kind="stable")
    mine = np.arange(rows), place
    labels = (action[mine] == 1) & (gap[mine] < 86_400)
    take = {n: np.take_along_axis(x, order, 1) for n, x in
            {"e": events, "a": action, "t": now - gap}.items()}  # fmt: skip
    return {"item": item, "now": np.full(rows, now), **take}, labels.astype("float32")


def learned_auc(events):
    features = rk.FeatureSet([rk.Categorical("item", num_ids=6), *events])
    keras.utils.set_random_seed(0)
    model = rk.RankMixer(
        features, ["click"], token_dim=16, num_tokens=2, embedding_dim=16, num_blocks=1,
        sequence_encoder="din",
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(0.01), metrics=[])
    names = set(features.raw_spec())
    (train, y), (test, wanted) = planted(4096, 0), planted(1024, 1)
    train, test = ({n: x for n, x in rows.items() if n in names} for rows in (train, test))
    model.fit(train, {"click": y}, batch_size=128, epochs=12, verbose=0)
    metric = keras.metrics.AUC()
    metric.update_state(wanted, model.predict(test, batch_size=1024, verbose=0)["click"][:, 0])
    return float(metric.result())


def test_a_planted_target_is_learned_from_actions_and_times_and_not_from_ids_alone():
    now = rk.Timestamp("now", cycles=[])
    whole = rk.Events("clicks", {"e": "item", "a": 2}, 5, time="t", request_time="now")
    assert learned_auc([now, whole]) > 0.9
    assert abs(learned_auc([rk.Events("clicks", {"e": "item"}, 5)]) - 0.5) < 0.1


@pytest.mark.parametrize("name", ["hyformer", "mixformer", "rankmixer"])
def test_fields_of_both_sides_are_dropped_out(features, name):
    model = MAKERS[name](features, user_item_mask=True, embedding_dropout=0.5)
    names = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert {"user_embedding_dropout", "item_embedding_dropout"} <= names
    inputs = model.encode(make_rows())
    once, again = (np.asarray(model(inputs, training=True)["click"]) for _ in range(2))
    assert not np.allclose(once, again)


@pytest.mark.parametrize("kind", [rk.DLRM, rk.DCNv2, rk.RankElastor, rk.RankUp, rk.RankMixer])
def test_every_model_reads_matches(kind):
    item = rk.Categorical("item", num_ids=9)
    features = rk.FeatureSet([item, rk.History("seen", of="item", max_length=3, matches=True)])
    model = kind(features, ["click"], embedding_dim=4)
    # Of a Functional model the layers are those that its outputs depend on.
    assert sum(isinstance(layer, rk.layers.EventMatches) for layer in model.layers) == 1
    if kind is rk.RankUp:
        assert ("dense", "seen:count, seen:recency") in token_sources(model)


def test_what_models_read_of_matches_from_raw_rows_on():
    clicks = rk.Events(
        "clicks", {"e": "item"}, 4, time="at", request_time="now", numbers={"dwell": None},
        actions={"bits": 2}, matches=True,
    )  # fmt: skip
    item, other = rk.Categorical("item", num_ids=9), rk.Events("other", {"o": 5}, 2)
    features = rk.FeatureSet([item, rk.Timestamp("now"), other, clicks])
    rows = {"item": [3, 4], "now": [1000, 1000], "o": [[1], []], "e": [[3, 5, 3], [5]]}
    rows |= {"at": [[100, 200, 900], [5]], "dwell": [[1.0, 7.0, 4.0], [2.0]]}
    rows |= {"bits": [[1, 2, 3], [1]]}
    model = rk.DCNv2(features, ["click"], embedding_dim=4)
    (layer,) = (x for x in model.layers if isinstance(x, rk.layers.EventMatches))
    found = keras.Model(model.input, layer.output)(model.encode(rows))
    recency = 1 - np.log1p(100) / np.log1p(365 * 86_400)
    want = [[np.log(3), recency, 2.5, 1, 0.5], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_repeated_values_are_learned_from_few_rows_by_matches():
    rng = np.random.default_rng(0)
    events, item = rng.integers(0, 500, (1536, 20)), rng.integers(0, 500, 1536)
    labels = rng.integers(0, 2, 1536)
    item = np.where(labels == 1, events[:, 7], item)
    found = {}
    for matches in (False, True):
        keras.utils.set_random_seed(0)
        clicks = rk.Events("clicks", {"e": "item"}, 20, matches=matches)
        features = rk.FeatureSet([rk.Categorical("item", num_ids=500), clicks])
        model = rk.RankMixer(features, ["click"], 16, num_tokens=2, num_blocks=1)
        model.compile(keras.optimizers.Adam(0.01), metrics=[])
        model.fit({"item": item[:1024], "e": events[:1024]}, labels[:1024], epochs=3, verbose=0)
        scores = model.predict({"item": item[1024:], "e": events[1024:]}, verbose=0)["click"]
        metric = keras.metrics.AUC()
        metric.update_state(labels[1024:], scores[:, 0])
        found[matches] = float(metric.result())
    assert found[False] < 0.6  # every value is too rare for its embedding
    assert found[True] > 0.95
