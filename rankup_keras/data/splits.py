"""`Splits`: training, validation and test rows, and how they are drawn."""

import dataclasses
from typing import Any

import numpy as np

from rankup_keras.data.log_columns import row_times
from rankup_keras.data.rows import Rows

Indices = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Splits:
    """Training, validation and test rows.

    Attributes:
        train: `Rows` that weights, vocabularies and statistics come from.
        valid: `Rows` for early stopping and other choices.
        test: `Rows` for the figures that are reported.

    Example:

    ```python
    import numpy as np

    import rankup_keras as rk

    rows = rk.data.Rows({"item": np.arange(10)}, {"click": np.zeros(10, np.float32)})
    splits = rk.data.Splits(*(rows.select(index) for index in rk.data.random_split(10)))
    assert splits.train.num_rows == 8
    ```
    """

    train: Rows
    valid: Rows
    test: Rows


def random_split(num_rows: int, seed: int = 0, train: float = 0.8, valid: float = 0.1) -> Indices:
    """Row numbers of a random split.

    The permutation is `numpy.random.RandomState(seed).permutation(num_rows)`;
    its first part trains, the next validates, the rest tests.

    Args:
        num_rows: how many rows there are.
        seed: seed of the permutation.
        train: share of training rows. Defaults to 0.8.
        valid: share of validation rows; the rest tests. Defaults to 0.1.

    Returns:
        Three int64 arrays of row numbers.

    Example:

    ```python
    import rankup_keras as rk

    train, valid, test = rk.data.random_split(100, seed=0)
    assert (len(train), len(valid), len(test)) == (80, 10, 10)
    ```
    """
    return _cut(np.random.RandomState(seed).permutation(num_rows), train, valid)


def time_split(times: Any, train: float = 0.8, valid: float = 0.1) -> Indices:
    """Row numbers of a split by time: the oldest train, the newest test.

    Args:
        times: array (n,) of numbers or dates with times, none missing; rows of equal time stay
            in their order.
        train: share of training rows. Defaults to 0.8.
        valid: share of validation rows; the rest tests. Defaults to 0.1.

    Returns:
        Three int64 arrays of row numbers.

    Example:

    ```python
    import rankup_keras as rk

    train, valid, test = rk.data.time_split([30, 10, 20], train=0.34, valid=0.33)
    assert (*train, *valid, *test) == (1, 2, 0)
    ```
    """
    return _cut(np.argsort(row_times(times), kind="stable"), train, valid)


def _cut(order: np.ndarray, train: float, valid: float) -> Indices:
    if not (train > 0 and valid >= 0 and train + valid <= 1):
        raise ValueError(
            "`train` must be above 0, `valid` at least 0, and their sum at most 1. "
            f"Received: train={train}, valid={valid}"
        )
    first = round(train * len(order))
    second = first + round(valid * len(order))
    return order[:first], order[first:second], order[second:]
