"""AUC within groups, alone and in models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras import metrics
from tests.metrics.grouped_rows import make_rows, rows_and_model, users


def test_of_many_groups_a_fair_part_is_watched():
    labels, scores, groups = make_rows(60_000, users=3000)
    stream = metrics.GAUC("user", max_groups=1000).bind(users(3000))
    stream.update_state(labels, scores, groups=groups)
    watched = sum(float(np.sum(v)) for v in stream.variables) / len(labels)
    assert 0.28 < watched < 0.39
    assert float(stream.result()) == pytest.approx(
        metrics.exact.gauc(labels, scores, groups), abs=0.01
    )


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


def test_gauc_config_round_trip():
    config = keras.saving.serialize_keras_object(metrics.GAUC("user", bins=64))
    assert keras.saving.deserialize_keras_object(config).get_config() == {
        "group": "user", "max_groups": 8192, "bins": 64, "name": "gauc", "dtype": "float32",
    }  # fmt: skip


def test_the_progress_bar_shows_the_running_pass():
    rows, labels, model = rows_and_model()
    model.compile(keras.optimizers.SGD(0.0), metrics=[metrics.GAUC("user")])
    seen = []
    show = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: seen.append(logs["gauc"])
    )
    model.fit(rows, labels, batch_size=128, epochs=2, shuffle=False, callbacks=[show], verbose=0)
    first, whole = (
        model.evaluate({k: v[:n] for k, v in rows.items()}, labels[:n], verbose=0, return_dict=True)
        for n in (128, 512)
    )
    # Of 4 batches the histograms are read at the first and the last.
    wanted = [first["gauc"]] * 3 + [whole["gauc"]]
    assert seen == pytest.approx(wanted * 2, abs=1e-5)
    assert first["gauc"] != pytest.approx(whole["gauc"], abs=1e-3)
