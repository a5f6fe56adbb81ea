"""Measurements of random activations, for tests of what is made of them."""

import numpy as np

from rankup_keras.diagnostics.measure import measure_layer
from rankup_keras.diagnostics.record import RankProfile


def profile_of(label="untrained", step=0, tokens=4, **logs):
    rng = np.random.default_rng(step)
    layers = {
        f"layer_{number}": measure_layer("", [rng.normal(size=(32, tokens, 8))])
        for number in range(3)
    }
    return RankProfile(label, step, step, layers, logs=logs)
