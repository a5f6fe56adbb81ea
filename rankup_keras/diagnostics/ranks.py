"""Four ways to count how many directions a matrix uses, batched and in float64."""

from collections.abc import Callable

import numpy as np

_EPS = float(np.finfo(np.float64).eps)

# The Gram matrix squares the condition number: an eigenvalue is known to
# noise * eps * largest, so a small singular value only to the root of that.
# Where this could move ln(effective rank) by more, an SVD is taken instead.
_MAX_LOG_ERROR = 2e-5

# One piece of a batch in float64 stays near the size of a processor's cache.
_CHUNK_BYTES = 8 * 2**20


def singular_values(x: object, exact: bool = False) -> np.ndarray:
    """Singular values of a batch of matrices, largest first.

    They are taken in float64 from the Gram matrix of the smaller side, which
    costs far less than a singular value decomposition. The error of the
    smallest values is bounded for each matrix; the few matrices for which it
    could be seen in a rank are decomposed in full.

    Args:
        x: Array or tensor of shape `(..., rows, columns)`, any real dtype
            (bfloat16 included).
        exact: If `True`, every matrix is decomposed in full.

    Returns:
        float64 array of shape `(..., min(rows, columns))`. The row of a
        matrix that holds NaN or infinity is all NaN.

    Raises:
        ValueError: `x` is complex or has fewer than two dimensions.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    values = rk.diagnostics.singular_values(np.diag([1.0, 3.0, 2.0]))
    np.testing.assert_allclose(values, [3.0, 2.0, 1.0])
    ```
    """
    array = as_array(x)
    if array.ndim < 2:
        raise ValueError(
            "`x` must hold matrices, of shape (..., rows, columns). "
            f"Received an array of shape {array.shape}."
        )
    *batch, rows, columns = array.shape
    side = min(rows, columns)
    out = np.zeros((*batch, side))
    if out.size == 0:
        return out
    flat, result = array.reshape(-1, rows, columns), out.reshape(-1, side)
    step = max(1, _CHUNK_BYTES // (rows * columns * 8))
    for start in range(0, len(flat), step):
        piece = flat[start : start + step].astype(np.float64)
        scale = _scale_of(piece) if array.dtype == np.float64 else None
        if scale is not None:
            piece /= scale
        values = _decomposed(piece) if exact else _from_gram(piece)
        result[start : start + step] = values if scale is None else values * scale[:, :, 0]
    return out


def _scale_of(piece: np.ndarray) -> np.ndarray:
    """Divisors that keep squares of float64 values in range; narrower dtypes need none."""
    scale = np.abs(piece).max(axis=(1, 2), keepdims=True)
    return np.where(np.isfinite(scale) & (scale > 0.0), scale, 1.0)


def _decomposed(piece: np.ndarray) -> np.ndarray:
    good = np.isfinite(piece).all(axis=(1, 2))
    values = np.full((len(piece), min(piece.shape[1:])), np.nan)
    values[good] = np.linalg.svd(piece[good], compute_uv=False)
    return values


def _from_gram(piece: np.ndarray) -> np.ndarray:
    rows, columns = piece.shape[1:]
    wide = piece if rows <= columns else piece.swapaxes(1, 2)
    with np.errstate(invalid="ignore", over="ignore"):
        gram = wide @ wide.swapaxes(1, 2)
    # The trace is the sum of squares: what is not finite in a matrix shows in it.
    bad = ~np.isfinite(np.trace(gram, axis1=1, axis2=2))
    if bad.any():
        gram[bad] = 0.0
    eigenvalues = np.linalg.eigvalsh(gram)[:, ::-1]
    # Four times the root of the side is above every error met on random,
    # rank-deficient and ill-conditioned matrices of sides 2 to 512.
    noise = 4.0 * np.sqrt(min(rows, columns)) * _EPS * eigenvalues[:, :1]
    values = np.sqrt(np.where(eigenvalues > noise, eigenvalues, 0.0))

    total = values.sum(axis=1, keepdims=True)
    root = np.sqrt(noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = noise / (2.0 * np.maximum(values, root)) / total
        log_error = np.nansum(share * (1.0 - np.log(share)), axis=1)
    doubtful = log_error > _MAX_LOG_ERROR
    if doubtful.any():
        values[doubtful] = np.linalg.svd(piece[doubtful], compute_uv=False)
    values[bad] = np.nan
    return values


def effective_rank(x: object, normalize: bool = False) -> np.ndarray:
    """Effective (entropy) rank: `exp(-sum(p * ln(p)))` with `p = s / sum(s)`.

    Counts directions by how evenly the singular values `s` spread: `n` equal
    values read `n`, one value alone reads 1, and small values add little. It is
    the number that RankUp plots and RankElastor's published code computes.

    A caution on token mixing: it reshapes, so identical tokens (rank 1) can
    read close to full rank after it. Compare at equal positions of a network,
    and beside the same network with its initial weights.

    Args:
        x: Array or tensor of shape `(..., rows, columns)`, any real dtype. An
            activation `(batch, tokens, width)` gives one number per sample; see
            `token_view` for one number per token.
        normalize: If `True`, divides by the ceiling `min(rows, columns)`, which
            gives the normalized effective rank.

    Returns:
        float64 array of shape `(...)`, between 1 and `min(rows, columns)`;
        0 for a zero matrix, NaN for one that holds NaN or infinity.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(256, 16, 64))
    assert rk.diagnostics.effective_rank(tokens).shape == (256,)
    assert rk.diagnostics.effective_rank(tokens, normalize=True).mean() > 0.9
    ```

    References:
    - [Roy and Vetterli, 2007](https://infoscience.epfl.ch/record/110188): the definition.
    - [RankUp](https://arxiv.org/abs/2604.17878), figures 3 and 4.
    """
    return _rank(entropy_rank, x, normalize)


def stable_rank(x: object, normalize: bool = False) -> np.ndarray:
    """Stable rank: `sum(s**2) / max(s)**2`.

    Hardly moves when small singular values do. It is the number in
    RankElastor's theory, and it reads lower than the effective rank.

    Args:
        x: As in `effective_rank`.
        normalize: As in `effective_rank`.

    Returns:
        As `effective_rank`.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    np.testing.assert_allclose(rk.diagnostics.stable_rank(np.diag([2.0, 1.0])), 1.25)
    ```

    References:
    - [RankElastor](https://arxiv.org/abs/2605.23191).
    """
    return _rank(energy_rank, x, normalize)


def information_abundance(x: object, normalize: bool = False) -> np.ndarray:
    """Information abundance: `sum(s) / max(s)`, the measure of embedding collapse.

    Meant for embedding tables, `(rows, dim)`: a table whose vectors lie near a
    line reads 1, one that uses all its directions evenly reads `dim`.

    Args:
        x: As in `effective_rank`.
        normalize: As in `effective_rank`.

    Returns:
        As `effective_rank`.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    table = np.random.normal(size=(1000, 16))
    assert rk.diagnostics.information_abundance(table, normalize=True) > 0.8
    ```

    References:
    - [On the Embedding Collapse](https://arxiv.org/abs/2310.04400), definition 1.
    """
    return _rank(abundance, x, normalize)


def numerical_rank(
    x: object, tolerance: float | None = None, normalize: bool = False
) -> np.ndarray:
    """Numerical rank: how many singular values exceed `tolerance * max(s)`.

    Args:
        x: As in `effective_rank`.
        tolerance: Share of the largest singular value under which a value
            counts as zero. `None` takes what rounding in the dtype of `x`
            alone can cause: `max(rows, columns) * eps` for float32 and float64
            (as `numpy.linalg.matrix_rank` does), `2 * eps` for float16 and
            bfloat16, whose eps is too coarse for that rule.
        normalize: As in `effective_rank`.

    Returns:
        float64 array of shape `(...)`: whole numbers, 0 for a zero matrix, NaN
        for one that holds NaN or infinity.

    Raises:
        ValueError: `tolerance` is negative or not below 1.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    assert rk.diagnostics.numerical_rank(np.ones((4, 6))) == 1
    ```
    """
    array = as_array(x)
    if tolerance is None:
        tolerance = default_tolerance(array)
    elif not 0.0 <= tolerance < 1.0:
        raise ValueError(
            "`tolerance` is a share of the largest singular value, at least 0 and "
            f"below 1. Received: tolerance={tolerance}."
        )
    # Below this the Gram matrix cannot tell a small value from none.
    exact = tolerance < 1e-6
    return _rank(lambda values: counted_rank(values, tolerance), array, normalize, exact)


def token_view(x: object) -> np.ndarray:
    """Turns activations `(batch, tokens, width)` into one matrix per token.

    Args:
        x: Array or tensor of shape `(batch, tokens, width)`.

    Returns:
        Array of shape `(tokens, batch, width)`, in the dtype of `x`.

    Raises:
        ValueError: `x` does not have three dimensions.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(256, 16, 64))
    assert rk.diagnostics.effective_rank(rk.diagnostics.token_view(tokens)).shape == (16,)
    ```
    """
    return as_activations(x).swapaxes(0, 1)


def as_activations(x: object) -> np.ndarray:
    """A NumPy array `(batch, tokens, width)`."""
    array = as_array(x)
    if array.ndim != 3:
        raise ValueError(
            "`x` must be activations of shape (batch, tokens, width). "
            f"Received an array of shape {array.shape}."
        )
    return array


def as_array(x: object) -> np.ndarray:
    """A NumPy array from an array, a tensor or a variable."""
    array = np.asarray(x.numpy() if hasattr(x, "numpy") else x)
    if array.dtype.kind == "c":
        raise ValueError(f"`x` must be real. Received dtype {array.dtype}.")
    return array


def default_tolerance(array: np.ndarray) -> float:
    """The share of the largest singular value that rounding in a dtype can cause."""
    if array.dtype == np.float64 or array.dtype.kind in "iub":
        return max(array.shape[-2:]) * _EPS
    if array.dtype == np.float32:
        return max(array.shape[-2:]) * float(np.finfo(np.float32).eps)
    # NumPy's finfo does not know bfloat16: 7 bits after the point.
    return 2.0 * (2.0**-10 if array.dtype == np.float16 else 2.0**-7)


def entropy_rank(values: np.ndarray) -> np.ndarray:
    """Effective rank from singular values `(..., side)`."""
    total = values.sum(axis=-1, keepdims=True)
    share = values / np.where(total == 0.0, 1.0, total)
    logs = np.log(np.where(share == 0.0, 1.0, share))
    rank = np.exp(-(share * logs).sum(axis=-1))
    return np.where(total[..., 0] == 0.0, 0.0, rank)


def energy_rank(values: np.ndarray) -> np.ndarray:
    """Stable rank from singular values `(..., side)`, largest first."""
    return np.square(_by_largest(values)).sum(axis=-1)


def abundance(values: np.ndarray) -> np.ndarray:
    """Information abundance from singular values `(..., side)`, largest first."""
    return _by_largest(values).sum(axis=-1)


def counted_rank(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Numerical rank from singular values `(..., side)`, largest first."""
    relative = _by_largest(values)
    count = (relative > tolerance).sum(axis=-1).astype(np.float64)
    return np.where(np.isnan(relative).any(axis=-1), np.nan, count)


def _by_largest(values: np.ndarray) -> np.ndarray:
    largest = values[..., :1]
    return values / np.where(largest == 0.0, 1.0, largest)


def _rank(
    measure: Callable[[np.ndarray], np.ndarray], x: object, normalize: bool, exact: bool = False
) -> np.ndarray:
    values = singular_values(x, exact)
    return measure(values) / max(1, values.shape[-1]) if normalize else measure(values)
