"""The one check that a number of tokens or heads divides a width."""

from collections.abc import Iterable


def divisors(number: int) -> list[int]:
    """The divisors of a number, in ascending order."""
    return [d for d in range(1, number + 1) if number % d == 0]


def nearest(count: int, candidates: Iterable[int]) -> list[int]:
    """The three candidates nearest to `count`, in ascending order."""
    return sorted(sorted(candidates, key=lambda n: abs(n - count))[:3])


def must_divide(argument: str, count: int, width: int) -> None:
    """Checks that `count` divides `width`.

    Args:
        argument: name of the argument that gave `count`, for the message.
        count: number of tokens or heads.
        width: width of a token.

    Raises:
        ValueError: it does not; the message names the nearest counts and the
            next larger width that would work.
    """
    if count > 0 and width % count == 0:
        return
    wider = f"; or a width of {-(-width // count) * count}" if count > 0 else ""
    raise ValueError(
        f"`{argument}` must divide the token width. Received: {argument}={count}, token width "
        f"{width}. The nearest that do: {nearest(count, divisors(width))}{wider}."
    )
