"""A model goes on from another one's weights, by value."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.compat.optimizers import slot, slots_of
from rankup_keras.models.warm_starting import row_origins

DAY = {
    "user": ["u1", "u2", "u3", "u1", "u2", "u4"],
    "item": [5, 6, 7, 5, 8, 9],
    "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "click": [0, 1, 0, 1, 1, 0],
}
NEXT = {**DAY, "user": ["u1", "u9", "u8", "u1", "u8", "u4"], "item": [9, 6, 11, 5, 10, 9]}
# Row-wise Adagrad has one number a row and set, lazy Adam slots as wide as the rows.
TABLES = {"lazy_adam": "lazy_adam", "row_wise_adagrad": "row_wise_adagrad"}


def make(features, tasks=("click",)):
    return rk.RankUp(features, list(tasks), token_dim=8, num_blocks=1, embedding_dim=4)


@pytest.fixture(scope="module", params=TABLES)
def old(request):
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("item"), rk.Numeric("price")])
    model = make(features.adapt(DAY))
    dense = keras.optimizers.Adam(0.01, use_ema=True)
    model.compile(rk.optimizers.Split(TABLES[request.param], dense), loss="binary_crossentropy")
    model.fit(DAY, epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def grown(old):
    ledger = rk.features.grow(old.features, DAY, day=1).ledger
    return rk.features.grow(old.features, NEXT, ledger, day=3, evict_after=1).features


def tables_and_slots(model):
    """Every table's rows and slots by value: `set/feature` → value → list of rows."""
    found = {}
    layer = next(x for x in model.layers if isinstance(x, rk.layers.FieldEmbedding))
    for key, view in layer.table_views().items():
        feature = key.split("/")[1]
        names = ["", "?", *model.features.lookups[feature].vocabulary()]
        wide = [view.variable, *slots_of(model.optimizer.embeddings, view.variable).values()]
        for position, value in enumerate(names):
            rows = [np.asarray(v.value[view.offset + position]) for v in wide]
            columns = slice(view.start, view.start + view.dim)
            index = view.start // view.dim
            found[key, value] = [
                r[columns] if r.shape == (view.variable.shape[1],) else np.atleast_1d(r)[index]
                for r in rows
            ]
    return found


def test_kept_values_rows_and_slots_are_bit_equal(old, grown):
    model = rk.models.rebuild(old, grown)
    report = rk.warm_start(model, old)
    before, after = tables_and_slots(old), tables_and_slots(model)
    kept = set(before) & set(after)
    assert {value for _, value in kept} >= {"u1", "u4", "9", "5", "", "?"}
    for key in kept:
        for ours, theirs in zip(after[key], before[key], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert report.tables["user"] == {"kept": 4, "new": 2, "gone": 2}
    assert not report.dense_new


def test_predictions_of_kept_values_and_what_follows(old, grown):
    model = rk.models.rebuild(old, grown)
    rk.warm_start(model, old)
    rows = {"user": ["u1", "u4"], "item": [5, 9], "price": [1.0, 9.0]}
    ours, theirs = (m.predict(rows, verbose=0)["click"] for m in (model, old))
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    for part in ("embeddings", "dense"):
        steps = [int(getattr(m.optimizer, part).iterations) for m in (model, old)]
        assert steps[0] == steps[1] > 0
    pairs = zip(model.trainable_weights, old.trainable_weights, strict=True)
    weight, source = next(pair for pair in pairs if not hasattr(pair[0], "row_sparse"))
    held = slots_of(old.optimizer.dense, source)
    for name, own in slots_of(model.optimizer.dense, weight).items():
        np.testing.assert_array_equal(own, held[name])
    assert "model_variables_moving_average" in held, "moving averages go on"
    model.fit(NEXT, verbose=0)


def test_new_values_score_as_unknown_ones_did(old, grown):
    model = rk.models.rebuild(old, grown)
    rk.warm_start(model, old, new_rows="unknown")
    rows = {"user": ["u8", "u9"], "item": [10, 11], "price": [1.0, 9.0]}
    ours, theirs = (m.predict(rows, verbose=0)["click"] for m in (model, old))
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_from_a_file_with_a_task_and_features_more_and_less(old, tmp_path):
    old.save(tmp_path / "old.keras")
    declared = rk.FeatureSet(
        [rk.Categorical("user"), rk.Categorical("page", num_ids=3), rk.Categorical("place")]
    )
    today = {**NEXT, "page": [0, 1, 2, 0, 1, 2], "place": list("aabbcc")}
    features = rk.features.grow(old.features, today, day=1, into=declared).features
    assert features.lookups["user"].vocabulary()[:4] == old.features.lookups["user"].vocabulary()
    model = make(features, ["click", "buy"])
    report = rk.warm_start(model, tmp_path / "old.keras")
    assert report.features_added == ["page", "place"]
    assert report.features_removed == ["item", "price"]
    assert report.tasks_added == ["buy"]
    assert report.tables["page"] == {"kept": 0, "new": 5, "gone": 0}
    assert not report.dense_kept
    assert set(report.dense_new.values()) == {"the features differ, or their order"}
    assert "tasks added: buy" in str(report)


def test_refuses_what_holds_no_values(old, tmp_path):
    old.save_weights(tmp_path / "day.weights.h5")
    with pytest.raises(ValueError, match="does not hold the values"):
        rk.warm_start(old, tmp_path / "day.weights.h5")
    with pytest.raises(ValueError, match="`new_rows` must be"):
        rk.warm_start(old, old, new_rows="zeros")


def test_rows_of_hashed_features_and_integer_ids():
    def features(**kwargs):
        return rk.FeatureSet([rk.Categorical("a", **kwargs)])

    hashed = features(hash_buckets=3)
    assert row_origins("a", hashed, features(hash_buckets=3)).tolist() == [0, 1, 2, 3]
    assert set(row_origins("a", features(hash_buckets=4), hashed)) == {-1}
    wider = row_origins("a", features(num_ids=4), features(num_ids=2))
    assert wider.tolist() == [0, 1, 2, 3, -1, -1]
    assert set(row_origins("a", features(num_ids=4), hashed)) == {-1}


def test_slots_by_name():
    optimizer = keras.optimizers.Adam()
    weights = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
    optimizer.build(weights)
    found = slots_of(optimizer, weights[1])
    assert set(found) == {"momentums", "velocities"}
    assert found["momentums"] is slot(optimizer, "momentums", weights[1])


def tiny(features, tasks=("click", "buy"), **kwargs):
    keras.utils.set_random_seed(1)
    return rk.RankMixer(features, list(tasks), token_dim=8, num_blocks=1, **kwargs)


ROWS = {"ad": list("abcd"), "user": list("xyxy"), "click": [1] * 4, "buy": [0] * 4}


@pytest.fixture(scope="module")
def trained():
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(ROWS)
    model = tiny(features)
    model.compile(rk.optimizers.Split("lazy_adam", keras.optimizers.Adam(0.05)))
    model.fit(ROWS, epochs=30, verbose=0)
    return model


def test_towers_move_by_task(trained):
    before = trained.predict(ROWS, verbose=0)
    assert before["click"].min() > 0.9 > 0.1 > before["buy"].max()
    turned = rk.models.rebuild(trained, tasks=["buy", "click"])
    rk.warm_start(turned, trained)
    after = turned.predict(ROWS, verbose=0)
    for task in ("click", "buy"):
        np.testing.assert_allclose(after[task], before[task], atol=1e-6)
    more = rk.models.rebuild(trained, tasks=["view", "click"])
    report = rk.warm_start(more, trained)
    np.testing.assert_allclose(more.predict(ROWS, verbose=0)["click"], before["click"], atol=1e-6)
    assert set(report.dense_new.values()) == {"the task is new"}
    assert set(more.loss) == {"view", "click"}


def test_features_in_another_order_keep_no_dense_weight(trained):
    into = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("ad")])
    grown = rk.features.grow(trained.features, ROWS, day=1, into=into)
    report = rk.warm_start(rk.models.rebuild(trained, grown.features), trained)
    assert report.dense_kept == 0
    assert report.tables["ad"] == {"kept": 6, "new": 0, "gone": 0}


def test_tables_of_another_width_are_not_called_kept(trained):
    wider = tiny(trained.features, embedding_dim=8)
    report = rk.warm_start(wider, trained)
    assert report.tables["ad"] == {"kept": 0, "new": 6, "gone": 6}
    assert report.dense_new["table shared/ad"] == "width: 16 became 8"


def test_from_a_model_that_is_not_compiled(trained):
    plain = rk.models.copy_to_host(trained)
    model = rk.models.rebuild(trained)
    rk.warm_start(model, plain)
    before, after = (m.predict(ROWS, verbose=0)["click"] for m in (plain, model))
    np.testing.assert_allclose(after, before, atol=1e-7)
    with pytest.raises(ValueError, match="Received: Sequential"):
        rk.warm_start(model, keras.Sequential())


def test_a_field_more_draws_another_permutation(old):
    into = rk.FeatureSet([*old.features.features, rk.Categorical("page", num_ids=3)])
    into = rk.FeatureSet.from_config({**into.get_config(), "learned": {}})
    today = {**NEXT, "page": [0, 1, 2, 0, 1, 2]}
    grown = rk.features.grow(old.features, today, day=1, into=into)
    assert rk.models.rebuild(old, grown.features).predict(today, verbose=0)


def test_tables_of_events_move():
    features = rk.FeatureSet(
        [
            rk.Categorical("item"),
            rk.Timestamp("t"),
            rk.Events(
                "clicks",
                {"clicked": "item", "action": 3},
                max_length=3,
                time="at",
                request_time="t",
            ),
        ]
    )
    rows = {
        "item": ["a", "b"], "t": [99, 99], "clicked": [["b"], []], "action": [[1], []],
        "at": [[5], []], "click": [0, 1],
    }  # fmt: skip
    old = tiny(features.adapt(rows), ["click"])
    model = rk.models.rebuild(old)
    report = rk.warm_start(model, old)
    assert all(change["new"] == change["gone"] == 0 for change in report.tables.values())
    before, after = (m.predict(rows, verbose=0)["click"] for m in (old, model))
    np.testing.assert_allclose(after, before, atol=1e-7)


def test_hashed_values_have_no_unknown_row():
    def model(buckets):
        features = rk.FeatureSet([rk.Categorical("a", hash_buckets=buckets), rk.Categorical("b")])
        return tiny(features.adapt({"a": ["x"], "b": ["y"]}), ["click"])

    wider = model(20)
    rk.warm_start(wider, model(10), new_rows="unknown")
    layer = next(x for x in wider.layers if isinstance(x, rk.layers.FieldEmbedding))
    assert len(np.unique(layer.get_tables()["shared/a"], axis=0)) == 21


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.LossScaleOptimizer(rk.optimizers.Split(), 64.0, 3),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 64.0, 3),
        keras.optimizers.Nadam(),
        keras.optimizers.Adafactor(),
    ],
    ids=lambda optimizer: getattr(optimizer, "inner_optimizer", optimizer).name,
)
def test_all_that_an_optimizer_keeps_goes_on(optimizer):
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(ROWS)
    old = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(3,))
    old.compile(type(optimizer).from_config(optimizer.get_config()), jit_compile=False)
    old.fit(ROWS, epochs=4, batch_size=3, verbose=0)
    model = rk.models.rebuild(old)
    rk.warm_start(model, old)
    pairs = zip(model.optimizer.variables, old.optimizer.variables, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), theirs.path)


def test_another_optimizer_takes_no_slots_of_the_same_name(trained):
    model = rk.models.rebuild(trained)
    model.compile(rk.optimizers.Split("sgd", keras.optimizers.SGD(0.1, momentum=0.9)))
    rk.warm_start(model, trained)
    assert not any(np.asarray(v).any() for v in model.optimizer.dense.variables[2:])


def test_new_values_have_the_row_of_their_own_unknown_bucket():
    keras.utils.set_random_seed(3)
    features = rk.FeatureSet([rk.Categorical("ad", oov_buckets=5), rk.Categorical("n")])
    old = tiny(features.adapt({"ad": ["a"], "n": [7]}), ["click"])
    today = {"ad": [*"bcdefghi", "a"], "n": [8, 7, 9, 7, 8, 9, 10, 11, 12]}
    model = rk.models.rebuild(old, rk.features.grow(old.features, today, day=1).features)
    rk.warm_start(model, old, new_rows="unknown")
    ours, theirs = (m.predict(today, verbose=0)["click"] for m in (model, old))
    assert len(np.unique(theirs)) > 5
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
