"""Rank measures written from their definitions, on `numpy.linalg.svd` in float64."""

import numpy as np


def singular_values(matrix):
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)


def effective_rank(matrix):
    """Roy and Vetterli 2007: the exponential of the entropy of the normalized spectrum."""
    sigma = singular_values(matrix)
    if sigma.sum() == 0.0:
        return 0.0
    entropy = 0.0
    for p in sigma / sigma.sum():
        if p > 0.0:
            entropy -= p * np.log(p)
    return float(np.exp(entropy))


def stable_rank(matrix):
    """Squared Frobenius norm over squared spectral norm."""
    sigma = singular_values(matrix)
    if sigma.max() == 0.0:
        return 0.0
    relative = sigma / sigma.max()
    return float(sum(r * r for r in relative))


def information_abundance(matrix):
    """Sum of the singular values over the largest one."""
    sigma = singular_values(matrix)
    return float(sum(sigma / sigma.max())) if sigma.max() else 0.0
