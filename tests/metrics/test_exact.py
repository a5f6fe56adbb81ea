"""The exact metrics against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics

from rankup_keras import metrics
from tests.metrics.grouped_rows import entropy_of, make_rows, mean_auc


def test_exact_forms_equal_scikit_learn():
    labels, scores, groups = make_rows()
    scores = scores.astype(np.float64)
    loss = sklearn.metrics.log_loss(labels, scores)
    assert metrics.exact.log_loss(labels, scores) == pytest.approx(loss, abs=1e-6)
    wanted = loss / entropy_of(labels.mean(dtype=np.float64))
    assert metrics.exact.normalized_entropy(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = scores.sum() / labels.sum()
    assert metrics.exact.calibration(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = sklearn.metrics.roc_auc_score(labels, scores)
    assert metrics.exact.auc(labels, scores) == pytest.approx(wanted, abs=1e-6)
    wanted = mean_auc(labels, scores, groups)
    assert metrics.exact.gauc(labels, scores, groups) == pytest.approx(wanted, abs=1e-6)


def test_exact_forms_with_ties_weights_and_names_as_groups():
    labels, scores, groups = make_rows(4000, users=20)
    scores = np.round(scores.astype(np.float64), 1)
    weights = np.random.default_rng(1).random(len(labels))
    names = np.array([f"user {g}" for g in groups])
    wanted = mean_auc(labels, scores, groups, weights)
    assert metrics.exact.gauc(labels, scores, names, weights) == pytest.approx(wanted, abs=1e-6)
    wanted = sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights)
    assert metrics.exact.auc(labels, scores, weights) == pytest.approx(wanted, abs=1e-6)
    wanted = (scores * weights).sum() / (labels * weights).sum()
    assert metrics.exact.calibration(labels, scores, weights) == pytest.approx(wanted, abs=1e-6)


def test_one_class_has_no_value():
    assert np.isnan(metrics.exact.auc([1, 1], [0.2, 0.3]))
    assert np.isnan(metrics.exact.gauc([1, 1, 0], [0.2, 0.3, 0.1], ["a", "a", "b"]))
    assert np.isnan(metrics.exact.normalized_entropy([0, 0], [0.2, 0.3]))
    assert np.isnan(metrics.exact.calibration([0, 0], [0.2, 0.3]))
    assert float(metrics.NormalizedEntropy().result()) == 0.0
    assert float(metrics.Calibration().result()) == 0.0


def test_rows_without_weight_have_no_value():
    for name in ("log_loss", "normalized_entropy", "calibration", "auc"):
        assert np.isnan(getattr(metrics.exact, name)([0, 1], [0.2, 0.7], [0.0, 0.0])), name


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"equal length\. Received: 2, 3 and 2"):
        metrics.exact.auc([0, 1], [0.1, 0.2, 0.3])


def test_scores_that_are_nan_have_no_value():
    for name in ("log_loss", "normalized_entropy", "calibration", "auc"):
        assert np.isnan(getattr(metrics.exact, name)([0, 1, 0], [0.2, np.nan, 0.1])), name
    assert np.isnan(metrics.exact.gauc([0, 1, 0, 1], [0.2, np.nan, 0.1, 0.3], [1, 1, 2, 2]))


@pytest.mark.parametrize(
    ("labels", "weights", "message"),
    [
        ([-1, 1], None, r"Labels must lie in \[0, 1\]. Received -1.0 in row 0"),
        ([0, np.nan], None, "Received nan in row 1"),
        (np.ma.masked_array([0, 1], [False, True]), None, "Received nan in row 1"),
        ([0, 1], [1, -2], "Weights must be numbers, 0 or more. Received -2.0 in row 1"),
    ],
)
def test_labels_and_weights_of_another_form_are_refused(labels, weights, message):
    with pytest.raises(ValueError, match=message):
        metrics.exact.auc(labels, [0.2, 0.1], weights)


def test_groups_may_be_missing():
    labels, scores = [0, 1, 0, 1], [0.1, 0.5, 0.4, 0.3]
    wanted = metrics.exact.gauc(labels, scores, ["a", "", "a", "a"])
    masked = np.ma.array(["a", "a", "a", "a"], mask=[False, True, False, False])
    for groups in (["a", None, "a", "a"], masked):
        assert metrics.exact.gauc(labels, scores, groups) == wanted
    with pytest.raises(ValueError, match=r"a group for each row\. Received 2 of 4"):
        metrics.exact.gauc(labels, scores, ["a", "b"])
