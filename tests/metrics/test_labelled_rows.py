"""Metrics of the rows that have a label."""

import keras
import numpy as np
import pytest
import sklearn.metrics

import rankup_keras as rk

KNOWN = np.array([1, 0, 1, 0, 1.0])
LABELS = np.append(KNOWN, [np.nan, np.nan])
SCORES = np.array([0.9, 0.8, 0.6, 0.1, 0.3, 0.99, 0.01])
WEIGHTS = np.arange(7.0)


def absolute(y_true, y_pred):
    return keras.ops.abs(y_true - y_pred)


@pytest.mark.parametrize(
    ("metric", "name", "expected"),
    [
        (rk.metrics.AUC(), "auc", sklearn.metrics.roc_auc_score),
        ("accuracy", "accuracy", lambda y, p, **w: sklearn.metrics.accuracy_score(y, p > 0.5, **w)),
        ("mse", "mse", sklearn.metrics.mean_squared_error),
        (absolute, "absolute", sklearn.metrics.mean_absolute_error),
        (rk.metrics.NormalizedEntropy(), "ne", None),
    ],
)
def test_any_metric_is_that_of_the_rows_with_labels(metric, name, expected):
    metric = rk.metrics.LabelledRows(metric)
    assert metric.name == name
    if expected is None:

        def expected(y, p, sample_weight=None):
            return rk.metrics.exact.normalized_entropy(y, p, sample_weight)

    for weights in (None, WEIGHTS):
        metric.reset_state()
        for rows in (slice(0, 3), slice(3, 7)):
            w = None if weights is None else weights[rows]
            metric.update_state(LABELS[rows, None], SCORES[rows, None], w)
        own = {} if weights is None else {"sample_weight": weights[:5]}
        assert float(metric.result()) == pytest.approx(expected(KNOWN, SCORES[:5], **own), abs=1e-3)


def test_it_is_copied_by_its_config():
    metric = rk.metrics.LabelledRows(rk.metrics.AUC(bins=64, name="area"))
    again = rk.metrics.LabelledRows.from_config(metric.get_config())
    assert (again.name, again.metric.bins) == ("area", 64)
    assert len(again.variables) == len(metric.variables) > 0
