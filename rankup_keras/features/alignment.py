"""Whether columns, and the lists of a sequence of events, belong together."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rankup_keras.features.target import Problem, Target


def in_other_order(index: Any, other: Any) -> bool:
    """Whether two indexes of pandas name the same rows in different orders.

    Other indexes say nothing, since rows are often numbered anew on one side only.
    """
    if not hasattr(index, "equals") or not hasattr(other, "equals") or index.equals(other):
        return False
    same = index.is_unique and len(index) == len(other) and other.isin(index).all()
    return bool(same)


def misaligned(lengths: Mapping[Target, np.ndarray]) -> list[tuple[Target, Problem]]:
    """Rows in which the lists of one sequence of events differ in length.

    Args:
        lengths: of the lists of every target that is `aligned`, row by row.
    """
    first: dict[str, Target] = {}
    problems = []
    for target, own in lengths.items():
        leader = first.setdefault(target.aligned or "", target)
        for row in np.flatnonzero(own != lengths[leader]):
            reason = (
                f"The list has {own[row]} values, and that of column {leader.column!r} has "
                f"{lengths[leader][row]}: all lists of events {target.aligned!r} must be equally "
                "long, with a missing value where nothing is known."
            )
            problems.append((target, Problem(int(row), int(own[row]), reason, ValueError)))
    return problems
