"""The metrics on arrays that hold every row, in float64; of scores that are NaN they are NaN.

Labels that are not in [0, 1] and weights that are not numbers of at least 0 raise `ValueError`.
"""

from typing import Any

import numpy as np

from rankup_keras.features.columns import is_missing

EPSILON = 1e-7


def log_loss(labels: Any, scores: Any, weights: Any = None) -> float:
    """Mean of `-(y ln p + (1 - y) ln(1 - p))`, `p` within [1e-7, 1 - 1e-7]; of no weight NaN."""
    y, p, w = _arrays(labels, scores, weights)
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return _mean(-(y * np.log(p) + (1 - y) * np.log1p(-p)), w)


def normalized_entropy(labels: Any, scores: Any, weights: Any = None) -> float:
    """Log loss divided by that of always predicting the share of positives; NaN for one class.

    References:
        - He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014.
    """
    y, p, w = _arrays(labels, scores, weights)
    rate = _mean(y, w)
    if not 0 < rate < 1:
        return float("nan")
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
    return log_loss(y, p, w) / float(entropy)


def calibration(labels: Any, scores: Any, weights: Any = None) -> float:
    """Sum of predictions divided by sum of labels; 1 is right, above is too much."""
    y, p, w = _arrays(labels, scores, weights)
    positives = float((y * w).sum())
    return float((p * w).sum()) / positives if positives else float("nan")


def auc(labels: Any, scores: Any, weights: Any = None) -> float:
    """Share of pairs of a positive and a negative in the right order, ties half; else NaN."""
    y, p, w = _arrays(labels, scores, weights)
    if not len(y) or np.isnan(p).any():  # which would be sorted behind all others
        return float("nan")
    return float(_group_auc(np.zeros(len(y), np.int64), y, p, w)[0][0])


def gauc(labels: Any, scores: Any, groups: Any, weights: Any = None) -> float:
    """Mean of every group's AUC, weighted by its rows; groups of one class do not count.

    Args:
        labels: 0 or 1, array (rows,).
        scores: probabilities, array (rows,).
        groups: what is ranked within, such as the user, array (rows,); missing ones are one.
        weights: array (rows,), or `None`.

    References:
        - Zhou et al., Deep Interest Network, arXiv 1706.06978, equation 10, with impressions as
          weights.
    """
    y, p, w = _arrays(labels, scores, weights)
    if not len(y) or np.isnan(p).any():
        return float("nan")
    groups = as_groups(groups)
    if len(groups) != len(y):
        raise ValueError(f"There must be a group for each row. Received {len(groups)} of {len(y)}.")
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    values, sizes = _group_auc(index, y, p, w)
    known = np.isfinite(values)
    return float(np.average(values[known], weights=sizes[known])) if known.any() else float("nan")


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if weights.any() else float("nan")


def _group_auc(
    index: np.ndarray, y: np.ndarray, p: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((p, index))
    index, y, p, w = index[order], y[order], p[order], w[order]
    new_group = np.concatenate([[True], index[1:] != index[:-1]])
    new_tie = new_group | np.concatenate([[True], p[1:] != p[:-1]])
    negative = np.concatenate([[0.0], np.cumsum(w * (1 - y))])
    places = np.arange(len(y))
    starts = np.flatnonzero(new_tie)
    tie = np.cumsum(new_tie) - 1
    ends = np.append(starts[1:], len(y))[tie]
    begin = np.maximum.accumulate(np.where(new_group, places, 0))
    below = (negative[starts[tie]] + negative[ends]) / 2 - negative[begin]
    count = int(index[-1]) + 1
    pairs = np.bincount(index, w * y * below, count)
    positives = np.bincount(index, w * y, count)
    sizes = np.bincount(index, w, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pairs / (positives * (sizes - positives)), sizes


def _arrays(labels: Any, scores: Any, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p = (as_numbers(values) for values in (labels, scores))
    w = np.ones(len(y)) if weights is None else as_numbers(weights)
    if not len(y) == len(p) == len(w):
        raise ValueError(
            "Labels, scores and weights must have equal length. "
            f"Received: {len(y)}, {len(p)} and {len(w)}."
        )
    for what, values, good in (
        ("Labels must lie in [0, 1]", y, (y >= 0) & (y <= 1)),
        ("Weights must be numbers, 0 or more", w, (w >= 0) & np.isfinite(w)),
    ):
        if not good.all():
            row = int(np.argmin(good))
            raise ValueError(f"{what}. Received {values[row]} in row {row}.")
    return y, p, w


def as_groups(values: Any) -> np.ndarray:
    """Values (rows,) that can be sorted; those that are missing or masked are one."""
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(object), None)
    groups = np.asarray(values).reshape(-1)
    if groups.dtype == object:  # which may not be sorted, with missing ones among them
        groups = np.array(["" if is_missing(group) else str(group) for group in groups])
    return groups


def as_numbers(values: Any) -> np.ndarray:
    """Numbers (rows,), NaN where they are masked."""
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    return np.asarray(values, np.float64).reshape(-1)
