"""Predicted and observed shares, by bin and by segment."""

import numpy as np
import pytest
import sklearn.calibration

from rankup_keras.diagnostics import reliability
from rankup_keras.diagnostics.calibration import SEGMENTS
from rankup_keras.metrics import exact


def sample(rows=1000):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.6, rows)
    return (rng.random(rows) < p**1.2).astype(int), p, rng.integers(0, 30, rows)


def test_bins_are_those_of_scikit_learn():
    y, p, _ = sample()
    found = np.array(reliability(y, p).bins)
    observed, predicted = sklearn.calibration.calibration_curve(
        y, p, n_bins=10, strategy="quantile"
    )
    np.testing.assert_allclose(found[:, 0], predicted)
    np.testing.assert_allclose(found[:, 1], observed)
    np.testing.assert_array_equal(found[:, 2], 100)


def test_equal_scores_share_a_bin():
    assert reliability([0, 1, 1, 1], [0.5] * 4).bins == [(0.5, 0.75, 4)]
    bins = reliability([0, 0, 1, 1], [0.1, 0.1, 0.1, 0.9], bins=4).bins
    assert [rows for *_, rows in bins] == [3, 1]


def test_segments_of_the_most_rows_and_the_others():
    y, p, values = sample()
    w = np.random.default_rng(1).uniform(0.5, 2, len(y))
    found = reliability(y, p, w, values, by="country")
    assert found.by == "country"
    assert len(found.segments) == SEGMENTS + 1
    assert sum(rows for rows, *_ in found.segments.values()) == len(y)
    counts = [rows for rows, *_ in found.segments.values()][:-1]
    assert counts == sorted(counts, reverse=True)
    name = next(iter(found.segments))
    own = values == int(name)
    rows, predicted, observed, entropy = found.segments[name]
    assert rows == own.sum()
    assert predicted == pytest.approx((p * w)[own].sum() / w[own].sum())
    assert predicted / observed == pytest.approx(exact.calibration(y[own], p[own], w[own]))
    assert entropy == pytest.approx(exact.normalized_entropy(y[own], p[own], w[own]))


def test_rows_without_weight_and_values_that_are_missing():
    found = reliability([1, 0], [0.5, 0.25], [0, 1], ["", "de"])
    assert np.isnan(found.segments["(empty)"][1:]).all()
    assert found.segments["de"][:3] == (1, 0.25, 0.0)


@pytest.mark.parametrize("scores", [[], [0.5]])
def test_what_cannot_be_compared(scores):
    with pytest.raises(ValueError, match="must have one value per row"):
        reliability([0, 1] if scores else [], scores)


def test_masked_labels_are_none():
    with pytest.raises(ValueError, match="Received nan in row"):
        reliability(np.ma.masked_array([1, 0], [True, False]), [0.5, 0.25])
