"""Calibration on a few rows; see `test_sums.py` for streams."""

from rankup_keras.metrics import Calibration


def test_it_is_the_ratio_of_sums():
    metric = Calibration()
    metric.update_state([1, 0, 0, 1], [0.5, 0.25, 0.25, 0.5])
    assert float(metric.result()) == 0.75
    metric.update_state([0], [9.5], sample_weight=[0.0])
    assert float(metric.result()) == 0.75
