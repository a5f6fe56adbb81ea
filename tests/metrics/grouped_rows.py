"""Rows with groups, and models on them, for tests of metrics."""

import numpy as np
import sklearn.metrics

import rankup_keras as rk


def make_rows(n=20_000, users=300, seed=0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, users, n)
    logits = rng.normal(-1, 1.2, n) + rng.normal(0, 1, users)[groups]
    labels = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    scores = (1 / (1 + np.exp(-logits - rng.normal(0, 1, n)))).astype(np.float32)
    return labels, scores, groups


def users(count):
    return rk.FeatureSet([rk.Categorical("user", num_ids=count)])


def entropy_of(rate):
    return -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def mean_auc(labels, scores, groups, weights=None):
    total, count = 0.0, 0.0
    for group in np.unique(groups):
        rows = groups == group
        if 0 < labels[rows].mean() < 1:
            w = None if weights is None else weights[rows]
            size = rows.sum() if weights is None else w.sum()
            auc = sklearn.metrics.roc_auc_score(labels[rows], scores[rows], sample_weight=w)
            total += size * auc
            count += size
    return total / count


def rows_and_model(tasks=("click",)):
    rng = np.random.default_rng(0)
    rows = {"user": rng.integers(0, 9, 512).astype(str), "item": rng.integers(0, 50, 512)}
    labels = (rng.random(512) < 0.1 + 0.8 * (rows["item"] % 2)).astype(np.float32)
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("item")]).adapt(rows)
    return rows, labels, rk.DLRM(features, list(tasks), embedding_dim=4, top_units=(8,))
