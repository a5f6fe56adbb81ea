"""Calibrations as layers: against NumPy."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.helpers.layer_test import run_layer_test

P = np.random.default_rng(0).uniform(size=(40, 1)).astype("float32")


def test_platt_scaling():
    def reference(p, weights):
        return 1 / (1 + np.exp(-(0.7 * np.log(p / (1 - p)) - 1.5)))

    run_layer_test(
        rk.layers.PlattScaling, {"slope": 0.7, "offset": -1.5}, inputs=P, reference=reference
    )


@pytest.mark.parametrize("points", [1, 2, 7])
def test_isotonic_calibration(points):
    rng = np.random.default_rng(1)
    scores, rates = np.sort(rng.uniform(0.2, 0.8, (2, points)))
    run_layer_test(
        rk.layers.IsotonicCalibration,
        {"scores": scores.tolist(), "rates": rates.tolist()},
        inputs=P,
        reference=lambda p, weights: np.interp(p, scores, rates),
    )


@pytest.mark.parametrize("points", [([0.2, 0.1], [0, 1]), ([0.1, 0.2], [1, 0]), ([], [])])
def test_curves_that_do_not_rise_are_refused(points):
    with pytest.raises(ValueError, match="`scores` must rise and `rates` must not fall"):
        rk.layers.IsotonicCalibration(*points)
