"""Calibration: equal to scikit-learn's, and part of what is saved and served."""

import keras
import numpy as np
import pytest
import sklearn.isotonic
import sklearn.linear_model
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models.calibrated import isotonic, platt

ROWS = 200


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    click = rng.integers(0, 2, ROWS)
    return {
        "ad": [f"a{k}" for k in rng.integers(0, 9, ROWS)],
        "user": [f"u{k}" for k in rng.integers(0, 9, ROWS)],
        "click": click,
        "buy": np.where(click == 1, rng.random(ROWS) < 0.3, np.nan),
    }


@pytest.fixture(scope="module")
def model(rows):
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    tasks = ["click", rk.Task("buy", after="click", missing_labels="skip")]
    model = rk.DLRM(features, tasks, embedding_dim=4, top_units=(8,))
    for weight in model.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, seed=1) * 0.5)
    return model


def sample(rows=3000):
    rng = np.random.default_rng(2)
    p = np.round(rng.uniform(0.001, 0.9, rows), 3).astype("float32").astype("float64")
    return p, (rng.random(rows) < p**1.5).astype("float64"), rng.uniform(0.5, 2, rows)


def test_platt_is_that_of_scikit_learn():
    p, y, w = sample()
    logit = np.log(p / (1 - p))[:, None]
    theirs = sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    theirs.fit(logit, y, w)
    slope, offset = platt(p, y, w)
    assert slope == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    expected = theirs.predict_proba(logit)[:, 1]
    found = np.asarray(rk.layers.PlattScaling(slope, offset)(p))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_isotonic_is_that_of_scikit_learn():
    p, y, w = sample()
    theirs = sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit(p, y, w)
    layer = rk.layers.IsotonicCalibration(*isotonic(p, y, w))
    between = np.linspace(0, 1, 999, dtype="float32")
    np.testing.assert_allclose(np.asarray(layer(between)), theirs.predict(between), atol=1e-6)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_rates_are_those_of_the_rows(model, rows, method):
    calibrated = rk.calibrate(model, rows, method)
    before = [m.predict(rows, verbose=0) for m in (model, calibrated)]
    assert abs(before[0]["click"].mean() - np.mean(rows["click"])) > 1e-3
    assert before[1]["click"].mean() == pytest.approx(np.mean(rows["click"]), abs=1e-4)
    # Without a click there was certainly no purchase.
    bought = np.nan_to_num(rows["buy"].astype("float64"))
    assert before[1]["buy"].mean() == pytest.approx(bought.mean(), abs=1e-4)


def test_a_dataset_gives_the_same(model, rows):
    columns = {name: np.asarray(column) for name, column in rows.items()}
    dataset = tf.data.Dataset.from_tensor_slices(columns).batch(50)
    ours, theirs = rk.calibrate(model, dataset), rk.calibrate(model, rows)
    for one, other in zip(ours.layers[-2:], theirs.layers[-2:], strict=True):
        assert one.slope == pytest.approx(other.slope, abs=1e-4)


def test_saved_and_exported(model, rows, tmp_path):
    calibrated = rk.calibrate(model, rows, "isotonic")
    expected = calibrated.predict(rows, verbose=0)
    calibrated.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(rows, verbose=0)["buy"], expected["buy"])
    version = rk.export(calibrated, tmp_path / "served")
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    served = signature(ad=tf.constant(rows["ad"]), user=tf.constant(rows["user"]))
    np.testing.assert_allclose(served["buy"], expected["buy"][:, 0], atol=1e-6)


def test_refusals(model, rows):
    with pytest.raises(ValueError, match="`method` must be one of"):
        rk.calibrate(model, rows, "beta")
    with pytest.raises(ValueError, match="`calibrations` must be by task"):
        rk.models.Calibrated(model, {"view": rk.layers.PlattScaling()})
    one = {**rows, "click": np.ones(ROWS)}
    with pytest.warns(UserWarning, match="Task 'click' is not calibrated"):
        rk.calibrate(model, one)


def test_calibrated_again_and_not_trained(model, rows):
    once = rk.calibrate(model, rows)
    again = rk.calibrate(once, rows, "isotonic")
    assert again.base is once.base is model
    names = [layer.name for layer in again.layers]
    assert {"click_calibration", "buy_calibration"} < {*names}
    with pytest.raises(RuntimeError, match=r"Train `model\.base`"):
        once.fit(rows)
    assert type(rk.models.rebuild(once)) is rk.DLRM
    with pytest.raises(ValueError, match="is calibrated: copy its `base`"):
        rk.models.copy_to_host(once)
