"""Sums by place."""

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.metrics.histograms import add_at, logits


def test_values_add_up_at_their_places():
    metric = keras.metrics.Metric(name="sums")
    sums = metric.add_variable((3,), "zeros", dtype="float64")
    add_at(sums, tf.constant([2, 0, 2]), tf.constant([1.0, 2.0, 4.0]))
    assert sums.numpy().tolist() == [2, 0, 5]


def test_logits_of_certain_scores_are_finite():
    scores = np.array([0.0, 0.5, np.nextafter(np.float32(1), np.float32(0)), 1.0], np.float32)
    found = logits(scores[:, None], 1e-7).numpy()
    np.testing.assert_allclose(found, np.log([1e-7, 1, 2.0**24, 2.0**25]), atol=1e-5)
