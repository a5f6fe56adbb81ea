"""Whether the lists of a sequence of events belong together."""

from collections.abc import Mapping

import numpy as np

from rankup_keras.features.target import Problem, Target


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
