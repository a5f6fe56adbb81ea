"""`Splits`: rows to train on, to validate with and to test, and how they are drawn."""

import dataclasses
from typing import Any

import numpy as np

from rankup_keras.data.rows import Rows

Indices = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Splits:
    """Rows to train on, to validate with and to test.

    Attributes:
        train: `Rows` that weights, vocabularies and statistics come from.
        valid: `Rows` for early stopping and other choices.
        test: `Rows` for the figures that are reported.
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
        train: share of rows to train on.
        valid: share of rows to validate with; the rest tests.
    """
    return _cut(np.random.RandomState(seed).permutation(num_rows), train, valid)


def time_split(times: Any, train: float = 0.8, valid: float = 0.1) -> Indices:
    """Row numbers of a split by time: the oldest train, the newest test.

    Args:
        times: array (n,) of numbers; rows of one time stay in their order.
        train: share of rows to train on.
        valid: share of rows to validate with; the rest tests.
    """
    return _cut(np.argsort(np.asarray(times), kind="stable"), train, valid)


def _cut(order: np.ndarray, train: float, valid: float) -> Indices:
    if not (train > 0 and valid >= 0 and train + valid <= 1):
        raise ValueError(
            "`train` must be above 0, `valid` at least 0, and their sum at most 1. "
            f"Received: train={train}, valid={valid}"
        )
    first = round(train * len(order))
    second = first + round(valid * len(order))
    return order[:first], order[first:second], order[second:]
