"""Probabilities on all data, learned from data without most of its negatives."""

import keras
import numpy as np
import pytest

from rankup_keras.losses import DownsampledCrossentropy


def test_the_rate_on_all_data_has_the_least_loss():
    # 20 of 1,000 rows are positive, and 98 of 980 negatives were kept.
    y = np.r_[np.ones(20), np.zeros(98)][:, None]
    loss = DownsampledCrossentropy(keep_rate=0.1)
    candidates = np.linspace(0.005, 0.2, 391)
    losses = [float(loss(y, np.full_like(y, p))) for p in candidates]
    assert candidates[int(np.argmin(losses))] == pytest.approx(0.02, abs=1e-3)
    # As `p` corrected by the paper's equation, whose inverse it is.
    q = 20 / 118
    assert q / (q + (1 - q) / 0.1) == pytest.approx(0.02)


def test_a_rate_of_one_is_keras_own():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (50, 1)), rng.uniform(0.01, 0.99, (50, 1))
    ours, theirs = DownsampledCrossentropy(1.0)(y, p), keras.losses.BinaryCrossentropy()(y, p)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_config_round_trip():
    loss = DownsampledCrossentropy(0.25, name="click_loss")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("rate", [0, -1, 1.5, float("nan")])
def test_wrong_rates(rate):
    with pytest.raises(ValueError, match=r"`keep_rate` must be in \(0, 1\]"):
        DownsampledCrossentropy(rate)
