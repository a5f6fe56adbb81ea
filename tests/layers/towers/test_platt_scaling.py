"""Two numbers: against NumPy."""

import numpy as np

import rankup_keras as rk
from tests.helpers.layer_test import run_layer_test

P = np.random.default_rng(0).uniform(size=(40, 1)).astype("float32")


def test_platt_scaling():
    def reference(p, weights):
        return 1 / (1 + np.exp(-(0.7 * np.log(p / (1 - p)) - 1.5)))

    run_layer_test(
        rk.layers.PlattScaling, {"slope": 0.7, "offset": -1.5}, inputs=P, reference=reference
    )
