"""Normalized entropy on a few rows; see `test_sums.py` for streams."""

import pytest

from rankup_keras.metrics import NormalizedEntropy


def test_the_constant_has_one_and_better_predictions_less():
    metric = NormalizedEntropy()
    metric.update_state([1, 0, 0, 0], [0.25] * 4)
    assert float(metric.result()) == pytest.approx(1.0)
    metric.reset_state()
    metric.update_state([1, 0, 0, 0], [0.9, 0.1, 0.1, 0.1])
    assert float(metric.result()) == pytest.approx(0.1053605 / 0.5623351, rel=1e-5)
