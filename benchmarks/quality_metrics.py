"""Exact metrics of scores against labels."""

import numpy as np


def auc(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Exact: the share of pairs in the right order, ties counting half."""
    _, place, count = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = labels > 0.5
    ones, zeros = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def log_loss(labels: np.ndarray, predicted: np.ndarray) -> float:
    p = np.clip(predicted, 1e-7, 1 - 1e-7)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p)))
