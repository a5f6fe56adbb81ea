"""AUC of streams, against the exact one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.metrics import AUC, exact


def made_rows(rate, spread, rows=40_000, seed=0):
    """Scores around the logit of the rate, or all within a thousandth around 0."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < rate).astype(np.float32)
    base = 0 if spread < 0.01 else np.log(rate / (1 - rate))
    x = base + spread * (rng.normal(0, 1, rows) + 1.5 * labels)
    return labels, (1 / (1 + np.exp(-x))).astype(np.float32)


def stream(labels, scores, metric, batch=3000, weights=None):
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update_state(labels[part], scores[part], None if weights is None else weights[part])
    return float(metric.result())


@pytest.mark.parametrize("rate", [0.0005, 0.002, 0.02, 0.5, 0.998])
@pytest.mark.parametrize("spread", [1e-3, 0.05, 1.5, 5.0])
def test_right_at_every_rate_of_positives(rate, spread):
    labels, scores = made_rows(rate, spread)
    assert stream(labels, scores, AUC()) == pytest.approx(exact.auc(labels, scores), abs=1e-3)


def test_keras_is_wrong_of_rare_positives():
    """What this metric is for: where it fails, Keras's own will do."""
    labels, scores = made_rows(0.002, 1.5)
    assert stream(labels, scores, keras.metrics.AUC()) < exact.auc(labels, scores) - 0.01


def test_weights_ties_and_the_order_of_batches():
    labels, scores = made_rows(0.1, 1.0)
    scores, weights = np.round(scores, 2), np.random.default_rng(1).random(len(labels))
    wanted = exact.auc(labels, scores, weights)
    metric = AUC()
    for order in (slice(None), slice(None, None, -1), np.argsort(scores)):
        metric.reset_state()
        for batch in (1000, 40_000):
            found = stream(labels[order], scores[order], metric, batch, weights[order])
            assert found == pytest.approx(wanted, abs=1e-3)


def test_what_has_no_value():
    metric = AUC()
    assert float(metric.result()) == 0
    metric.update_state(np.zeros(0), np.zeros(0))
    metric.update_state([1, 1], [0.2, 0.3])
    assert float(metric.result()) == 0
    metric.update_state([0], [0.25])
    assert float(metric.result()) == 0.5
    metric.update_state([0], [np.nan])
    assert np.isnan(float(metric.result()))


def test_auc_config_round_trip():
    config = keras.saving.serialize_keras_object(AUC(bins=64, name="area"))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == {"bins": 64, "name": "area", "dtype": "float32"}


def test_training_and_validation_show_it_also_after_a_reload(tmp_path):
    rng = np.random.default_rng(0)
    rows = {"item": rng.integers(0, 40, 4000), "user": rng.integers(0, 40, 4000)}
    rows["click"] = (rng.random(4000) < 0.02 * (rows["item"] % 4 == 0)).astype(int)
    features = rk.FeatureSet([rk.Categorical(name, num_ids=40) for name in ("item", "user")])
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(4,))
    model.compile()
    history = model.fit(rows, batch_size=500, validation_data=rows, epochs=2, verbose=0).history
    wanted = exact.auc(rows["click"], model.predict(rows, verbose=0)["click"])
    assert history["val_auc"][-1] == pytest.approx(wanted, abs=1e-3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    found = again.evaluate(tf.data.Dataset.from_tensor_slices(rows).batch(300), verbose=0)
    assert found[again.metrics_names.index("loss") + 1] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("make", [AUC, lambda bins: rk.metrics.GAUC("user", bins=bins)])
@pytest.mark.parametrize("bins", [0, -5, 2.5, True])
def test_bins_are_counted(make, bins):
    with pytest.raises(ValueError, match=f"`bins` must be a positive integer.*bins={bins}"):
        make(bins=bins)
