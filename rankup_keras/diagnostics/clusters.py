"""k-means for all tokens at once."""

import numpy as np

_ROUNDS = 25


def cluster_tokens(x: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The cluster of every sample, token by token.

    Args:
        x: Activations `(batch, tokens, width)`.
        clusters: Number of clusters per token.
        seed: Seed of the first centres (k-means++).

    Returns:
        int64 array `(batch, tokens)` of cluster numbers.
    """
    if isinstance(clusters, bool) or not isinstance(clusters, int | np.integer) or clusters < 2:
        raise ValueError(
            f"`clusters` must be an integer of at least 2. Received: clusters={clusters!r}."
        )
    samples, tokens, _ = x.shape
    if samples < 4 * clusters:
        raise ValueError(
            f"{clusters} clusters need at least {4 * clusters} samples. Received: {samples}."
        )
    points = np.ascontiguousarray(x.astype(np.float32).swapaxes(0, 1))
    # One scale for all of a token keeps its geometry and float32's range.
    points -= points.mean(axis=1, keepdims=True)
    scale = np.abs(points).max(axis=(1, 2), keepdims=True)
    points /= np.where(scale == 0.0, 1.0, scale)
    centres = _first_centres(points, clusters, np.random.default_rng(seed))
    codes = np.full((tokens, samples), -1)
    for _ in range(_ROUNDS):
        new = _distances(points, centres).argmin(axis=2)
        if (new == codes).all():
            break
        codes = new
        member = (codes[:, :, None] == np.arange(clusters)).astype(np.float32)
        counts = member.sum(axis=1)[:, :, None]
        sums = member.swapaxes(1, 2) @ points
        # An empty cluster keeps its centre.
        centres = np.where(counts > 0, sums / np.maximum(counts, 1.0), centres)
    return codes.T


def _first_centres(points: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    tokens, samples, _ = points.shape
    every = np.arange(tokens)
    chosen = [points[every, rng.integers(0, samples, tokens)]]
    nearest = np.full((tokens, samples), np.inf)
    for _ in range(clusters - 1):
        gap = np.square(points - chosen[-1][:, None]).sum(axis=2)
        nearest = np.minimum(nearest, gap)
        total = nearest.sum(axis=1, keepdims=True)
        # A token with fewer distinct vectors than clusters has no gap left.
        weight = np.where(total > 0.0, nearest / np.where(total > 0.0, total, 1.0), 1.0 / samples)
        drawn = (weight.cumsum(axis=1) > rng.random((tokens, 1))).argmax(axis=1)
        chosen.append(points[every, drawn])
    return np.stack(chosen, axis=1)


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances up to a term that is the same for all centres: `(tokens, samples, k)`."""
    products = points @ centres.swapaxes(1, 2)
    return np.square(centres).sum(axis=2)[:, None, :] - 2.0 * products
