"""Normalized entropy, calibration and AUC within users, against scikit-learn and NumPy."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

import rankup_keras as rk
from rankup_keras import metrics


def _rows(n=20_000, users=300, seed=0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, users, n)
    logits = rng.normal(-1, 1.2, n) + rng.normal(0, 1, users)[groups]
    labels = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    scores = (1 / (1 + np.exp(-logits - rng.normal(0, 1, n)))).astype(np.float32)
    return labels, scores, groups


def users(count):
    return rk.FeatureSet([rk.Categorical("user", num_ids=count)])


def _entropy(rate):
    return -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def _mean_auc(labels, scores, groups, weights=None):
    total, count = 0.0, 0.0
    for group in np.unique(groups):
        rows = groups == group
        if 0 < labels[rows].mean() < 1:
            w = None if weights is None else weights[rows]
            size = rows.sum() if weights is None else w.sum()
            auc = sklearn.metrics.roc_auc_score(labels[rows], scores[rows], sample_weight=w)
            total += size * auc
            count += size
    return total / count


def test_exact_forms_equal_scikit_learn():
    labels, scores, groups = _rows()
    scores = scores.astype(np.float64)
    loss = sklearn.metrics.log_loss(labels, scores)
    assert metrics.exact.log_loss(labels, scores) == pytest.approx(loss, abs=1e-6)
    wanted = loss / _entropy(labels.mean(dtype=np.float64))
    assert metrics.exact.normalized_entropy(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = scores.sum() / labels.sum()
    assert metrics.exact.calibration(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = sklearn.metrics.roc_auc_score(labels, scores)
    assert metrics.exact.auc(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = _mean_auc(labels, scores, groups)
    assert metrics.exact.gauc(labels, scores, groups) == pytest.approx(wanted, abs=1e-6)


def test_exact_forms_with_ties_weights_and_names_as_groups():
    labels, scores, groups = _rows(4000, users=20)
    scores = np.round(scores.astype(np.float64), 1)
    weights = np.random.default_rng(1).random(len(labels))
    names = np.array([f"user {g}" for g in groups])
    wanted = _mean_auc(labels, scores, groups, weights)
    assert metrics.exact.gauc(labels, scores, names, weights) == pytest.approx(wanted, abs=1e-6)
    wanted = sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights)
    assert metrics.exact.auc(labels, scores, weights) == pytest.approx(wanted, abs=1e-6)
    wanted = (scores * weights).sum() / (labels * weights).sum()
    assert metrics.exact.calibration(labels, scores, weights) == pytest.approx(wanted, abs=1e-6)


def test_one_class_has_no_value():
    assert np.isnan(metrics.exact.auc([1, 1], [0.2, 0.3]))
    assert np.isnan(metrics.exact.gauc([1, 1, 0], [0.2, 0.3, 0.1], ["a", "a", "b"]))
    assert np.isnan(metrics.exact.normalized_entropy([0, 0], [0.2, 0.3]))
    assert np.isnan(metrics.exact.calibration([0, 0], [0.2, 0.3]))
    assert float(metrics.NormalizedEntropy().result()) == 0.0
    assert float(metrics.Calibration().result()) == 0.0


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"equal length\. Received: 2, 3 and 2"):
        metrics.exact.auc([0, 1], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("weighted", [False, True])
def test_streams_equal_the_exact_forms(weighted):
    labels, scores, groups = _rows()
    weights = np.random.default_rng(1).random(len(labels)) if weighted else None
    streams = {
        "ne": metrics.NormalizedEntropy(),
        "calibration": metrics.Calibration(),
        "gauc": metrics.GAUC("user").bind(users(300)),
    }
    for start in range(0, len(labels), 1024):
        part = slice(start, start + 1024)
        w = None if weights is None else weights[part]
        streams["ne"].update_state(labels[part][:, None], scores[part][:, None], w)
        streams["calibration"].update_state(labels[part][:, None], scores[part][:, None], w)
        streams["gauc"].update_state(labels[part], scores[part], w, groups=groups[part])
    exact = {
        "ne": metrics.exact.normalized_entropy(labels, scores, weights),
        "calibration": metrics.exact.calibration(labels, scores, weights),
        "gauc": metrics.exact.gauc(labels, scores, groups, weights),
    }
    for name, stream in streams.items():
        assert float(stream.result()) == pytest.approx(exact[name], abs=1e-3)
        stream.reset_state()
        assert float(stream.result()) == 0.0


def test_of_many_groups_a_fair_part_is_watched():
    labels, scores, groups = _rows(60_000, users=3000)
    stream = metrics.GAUC("user", max_groups=1000).bind(users(3000))
    stream.update_state(labels, scores, groups=groups)
    watched = sum(float(np.sum(v)) for v in stream.variables) / len(labels)
    assert 0.28 < watched < 0.39
    assert float(stream.result()) == pytest.approx(
        metrics.exact.gauc(labels, scores, groups), abs=0.01
    )


def rows_and_model(tasks=("click",)):
    rng = np.random.default_rng(0)
    rows = {"user": rng.integers(0, 9, 512).astype(str), "item": rng.integers(0, 50, 512)}
    labels = (rng.random(512) < 0.1 + 0.8 * (rows["item"] % 2)).astype(np.float32)
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("item")]).adapt(rows)
    return rows, labels, rk.DLRM(features, list(tasks), embedding_dim=4, top_units=(8,))


def test_within_fit_and_evaluate(tmp_path):
    rows, labels, model = rows_and_model()
    model.compile(
        keras.optimizers.Adam(0.05),
        metrics=[metrics.NormalizedEntropy(), metrics.Calibration(), metrics.GAUC("user")],
    )
    history = model.fit(rows, labels, epochs=3, batch_size=128, verbose=0).history
    assert history["gauc"][-1] > history["gauc"][0]
    scores = model.predict(rows, verbose=0)["click"]
    exact = metrics.exact.gauc(labels, scores, rows["user"])
    found = model.evaluate(rows, labels, batch_size=100, verbose=0, return_dict=True)
    assert found["gauc"] == pytest.approx(exact, abs=1e-3)
    assert found["ne"] == pytest.approx(metrics.exact.normalized_entropy(labels, scores), abs=1e-4)
    assert found["calibration"] == pytest.approx(
        metrics.exact.calibration(labels, scores), abs=1e-4
    )
    # Without a word from the user: on datasets, encoded or not, and after a reload.
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    dataset = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(100)
    for data in (dataset, model.encode(dataset), {**rows, "click": labels}):
        for trained in (model, again):
            found = trained.evaluate(data, verbose=0, return_dict=True)
            assert found["gauc"] == pytest.approx(exact, abs=1e-3)


def test_each_task_has_a_gauc_of_its_own_and_weights_count():
    rows, labels, model = rows_and_model(["click", "buy"])
    model.compile(
        keras.optimizers.Adam(0.05),
        metrics=[metrics.GAUC("user")],
        weighted_metrics=[metrics.GAUC("user", name="w")],
    )
    weights = np.random.default_rng(1).random(512)
    both = {"click": labels, "buy": 1 - labels}
    model.fit(rows, both, epochs=3, verbose=0)
    found = model.evaluate(rows, both, sample_weight=weights, verbose=0, return_dict=True)
    for task, scores in model.predict(rows, verbose=0).items():
        exact = metrics.exact.gauc(both[task], scores, rows["user"])
        assert found[f"{task}_gauc"] == pytest.approx(exact, abs=1e-3)
        exact = metrics.exact.gauc(both[task], scores, rows["user"], weights)
        assert found[f"{task}_w"] == pytest.approx(exact, abs=1e-3)


def test_groups_must_be_known():
    features = rk.FeatureSet([rk.Categorical("user", num_ids=3), rk.Numeric("age", normalize=None)])
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    with pytest.raises(ValueError, match=r"one of \['user'\]. Received: group='age'"):
        model.compile(metrics=[metrics.GAUC("age")])
    with pytest.raises(ValueError, match="has no groups"):
        metrics.GAUC("user").update_state([1.0], [0.5])
    gauc = metrics.GAUC("user").bind(features)
    assert gauc.bind(features) is gauc
    with pytest.raises(ValueError, match="bound to another feature set"):
        gauc.bind(users(5))


@pytest.mark.parametrize("make", [metrics.NormalizedEntropy, metrics.Calibration])
def test_configs_round_trip(make):
    metric = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(make()))
    metric.update_state([1.0, 0.0], [0.5, 0.25])
    again = make()
    again.update_state([1.0, 0.0], [0.5, 0.25])
    assert float(metric.result()) == float(again.result())


def test_gauc_config_round_trip():
    config = keras.saving.serialize_keras_object(metrics.GAUC("user", bins=64))
    assert keras.saving.deserialize_keras_object(config).get_config() == {
        "group": "user", "max_groups": 8192, "bins": 64, "name": "gauc", "dtype": "float32",
    }  # fmt: skip
