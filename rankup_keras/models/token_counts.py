"""How many tokens a model may have: where heads are tokens, their number must divide the width."""

import numpy as np

from rankup_keras.layers.divisibility import divisors, must_divide, nearest


def choose_sparse_tokens(
    token_dim: int, others: int, fields: int, wanted: int | None, limit: int = 64
) -> int:
    """Number of sparse tokens with which the total divides the token width.

    Args:
        token_dim: width D of a token.
        others: number of tokens beside the sparse ones (global, dense,
            sequence, crossed and task tokens).
        fields: number of fields to deal out; a token takes at least one.
        wanted: the number asked for, or `None` to take the largest possible.
        limit: largest total chosen when none is asked for.

    Raises:
        ValueError: naming the counts, or the nearest widths, that would work.
    """
    check_width(token_dim)
    possible = [d - others for d in divisors(token_dim) if 1 <= d - others <= fields]
    if wanted is None:
        if possible:
            return max((n for n in possible if n + others <= limit), default=possible[0])
        total = others + min(fields, max(limit - others, 1))
        raise ValueError(
            f"No number of sparse tokens makes the total divide token_dim={token_dim}: with "
            f"{others} other tokens and fields={fields}, the total lies between {others + 1} and "
            f"{others + fields}. Use a multiple of a total as `token_dim`, such as "
            f"{-(-token_dim // total) * total}."
        )
    if wanted in possible:
        return wanted
    counts = nearest(wanted, possible)
    works = f"num_sparse_tokens in {counts}" if counts else "no num_sparse_tokens"
    if not 1 <= wanted <= fields:
        raise ValueError(
            f"`num_sparse_tokens` must lie between 1 and the number of fields, {fields}, of which "
            f"every sparse token takes at least one. Received: num_sparse_tokens={wanted}. "
            f"With token_dim={token_dim} and {others} other tokens, {works} would work."
        )
    total = wanted + others
    widths = sorted({max(1, token_dim // total) * total, -(-token_dim // total) * total})
    raise ValueError(
        f"The number of tokens must divide their width. Received: token_dim={token_dim} and "
        f"{total} tokens ({wanted} sparse from {fields} fields, {others} others). "
        f"With this width, {works} would work; with these tokens, token_dim in {widths} would."
    )


def check_width(token_dim: int) -> None:
    """Refuses a token width that is not a positive integer."""
    if isinstance(token_dim, bool) or not isinstance(token_dim, int | np.integer) or token_dim < 1:
        raise ValueError(
            f"`token_dim` must be a positive integer. Received: token_dim={token_dim!r}."
        )


def choose_width(others: int, fields: int, wanted: int | None, limit: int = 64) -> int:
    """A token width near 64 for which `choose_sparse_tokens` finds a number of tokens."""
    if wanted is None and any(1 <= d - others <= fields for d in divisors(64)):
        return 64
    total = others + (wanted or min(fields, max(limit - others, 1)))
    return -(-64 // total) * total


def choose_tokens(token_dim: int, fields: int, wanted: int | None, limit: int = 32) -> int:
    """Number of tokens of a model that has none but the sparse ones, not bound to whole fields."""
    check_width(token_dim)
    if wanted is None:
        return max(d for d in divisors(token_dim) if d <= min(max(fields, 1), limit))
    must_divide("num_tokens", wanted, token_dim)
    return wanted
