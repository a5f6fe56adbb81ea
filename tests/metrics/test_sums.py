"""Metrics of streams of rows against the exact ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import metrics
from tests.metrics.grouped_rows import make_rows, users


@pytest.mark.parametrize("weighted", [False, True])
def test_streams_equal_the_exact_forms(weighted):
    labels, scores, groups = make_rows()
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


@pytest.mark.parametrize("make", [metrics.NormalizedEntropy, metrics.Calibration])
def test_configs_round_trip(make):
    metric = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(make()))
    metric.update_state([1.0, 0.0], [0.5, 0.25])
    again = make()
    again.update_state([1.0, 0.0], [0.5, 0.25])
    assert float(metric.result()) == float(again.result())


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_sums_are_exact_in_every_float_type(dtype):
    labels, scores, groups = make_rows()
    wanted = metrics.exact.calibration(labels, scores)
    ne = metrics.exact.normalized_entropy(labels, scores)
    found = metrics.Calibration(dtype=dtype), metrics.NormalizedEntropy(dtype=dtype)
    gauc = metrics.GAUC("user", dtype=dtype).bind(users(300))
    for metric in found:
        for part in np.array_split(np.arange(len(labels)), 40):
            metric.update_state(labels[part], scores[part])
    assert [float(m.result()) for m in found] == pytest.approx([wanted, ne], rel=2e-3)

    @tf.function(autograph=False)
    def step():
        gauc.update_state(labels, scores, groups=groups)
        return gauc.result()

    assert float(step()) == pytest.approx(metrics.exact.gauc(labels, scores, groups), abs=1e-2)


def test_ones_are_counted_beyond_float32():
    metric = metrics.Calibration()
    metric.sums["positives"].assign(2.0**24)
    metric.update_state([1.0], [1.0])
    assert float(metric.sums["positives"]) == 2**24 + 1
