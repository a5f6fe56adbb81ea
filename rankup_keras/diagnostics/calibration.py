"""Whether predicted probabilities match observed rates, by bin and by segment."""

import dataclasses
from typing import Any

import numpy as np

from rankup_keras.metrics import exact

SEGMENTS = 20


@dataclasses.dataclass(frozen=True)
class Reliability:
    """What `reliability` found; `report(calibration={task: ...})` draws it.

    Attributes:
        bins: (mean prediction, observed rate, rows) of each bin, from low to high predictions.
        segments: segment → (rows, mean prediction, observed rate, normalized entropy), the largest
            20 first and all others together, as `"others"`, last.
        by: name of the column of the segments.

    Example:

    ```python
    import rankup_keras as rk

    found = rk.diagnostics.reliability([0, 1, 1, 0], [0.1, 0.6, 0.8, 0.3], bins=2)
    print(found.bins)
    ```
    """

    bins: list[tuple[float, float, int]]
    segments: dict[str, tuple[int, float, float, float]]
    by: str = "segment"


def reliability(
    labels: Any,
    scores: Any,
    weights: Any = None,
    segments: Any = None,
    bins: int = 10,
    by: str = "segment",
) -> Reliability:
    """Compares mean predictions with observed rates, by bin of the prediction and by segment.

    Args:
        labels: 0 or 1, array (rows,).
        scores: probabilities, array (rows,).
        weights: array (rows,), or `None`.
        segments: a value per row, such as the country, array (rows,), or `None`.
        bins: int. Bins of about as many rows, by the quantiles of the scores; equal scores share
            one. Defaults to 10.
        by: name of the segments' column.

    Returns:
        A `Reliability`.

    Raises:
        ValueError: there are no rows, or arrays differ in length.

    Example:

    ```python
    import rankup_keras as rk

    click, p, country = [0, 1, 1, 0], [0.1, 0.6, 0.8, 0.3], ["de", "fr", "de", "fr"]
    print(rk.diagnostics.reliability(click, p, segments=country).segments["de"])
    ```

    References:
        - Niculescu-Mizil and Caruana, "Predicting good probabilities with supervised learning",
          ICML 2005, section 4 (reliability diagrams).
    """
    y, p = (exact.as_numbers(a) for a in (labels, scores))
    w = np.ones(len(y)) if weights is None else exact.as_numbers(weights)
    values = None if segments is None else exact.as_groups(segments)
    lengths = [len(a) for a in (y, p, w, values) if a is not None]
    if not len(y) or len(set(lengths)) > 1:
        raise ValueError(
            "Labels, scores, weights and segments must have one value per row, and there must be "
            f"rows. Received lengths: {lengths}."
        )
    edges = np.unique(np.quantile(p, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, p, side="right")
    found = {}
    if values is not None:
        names, own, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        for number in order[:SEGMENTS]:
            found[str(names[number]) or "(empty)"] = _of(own == number, y, p, w)
        if len(order) > SEGMENTS:
            found["others"] = _of(np.isin(own, order[SEGMENTS:]), y, p, w)
    of_bins = [_of(place == number, y, p, w) for number in np.unique(place)]
    return Reliability([(p, y, rows) for rows, p, y, _ in of_bins], found, by)


def _of(rows: np.ndarray, y: Any, p: Any, w: Any) -> tuple[int, float, float, float]:
    y, p, w = y[rows], p[rows], w[rows]
    if not w.any():
        return len(y), np.nan, np.nan, np.nan
    predicted, observed = (float(np.average(values, weights=w)) for values in (p, y))
    return len(y), predicted, observed, exact.normalized_entropy(y, p, w)
