"""Groups of whole fields, gathered from concatenated embeddings in one step."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops


def balanced_groups(order: Sequence[int], num_groups: int) -> list[list[int]]:
    """Cuts a list into groups whose sizes differ by at most one, the larger ones first."""
    size, larger = divmod(len(order), num_groups)
    bounds = np.cumsum([0] + [size + (index < larger) for index in range(num_groups)])
    return [list(order[a:b]) for a, b in itertools.pairwise(bounds)]


class FieldGroups:
    """Where the fields of each group lie, and the padding that makes groups equally wide.

    Args:
        field_dims: width of each field in the concatenation.
        groups: list of lists of field indices.

    Attributes:
        widths: real width of each group.
        width: width of a gathered group, padding included.
    """

    def __init__(self, field_dims: Sequence[int], groups: Sequence[Sequence[int]]) -> None:
        self.widths = [sum(field_dims[field] for field in group) for group in groups]
        self.width = max(self.widths)
        self._uniform = len(set(field_dims)) == 1
        self._dim = field_dims[0]
        self._shape = (len(groups), self.width)
        units = len(field_dims) if self._uniform else sum(field_dims)
        starts = np.concatenate([[0], np.cumsum(field_dims)])
        # Whole fields move as one piece where all are equally wide, else column by column. The
        # index `units` is a zero piece behind the last one.
        index = np.full((len(groups), self.width // (self._dim if self._uniform else 1)), units)
        for row, group in enumerate(groups):
            pieces = (
                list(group)
                if self._uniform
                else [c for field in group for c in range(starts[field], starts[field + 1])]
            )
            index[row, : len(pieces)] = pieces
        self._index = index.reshape(-1).astype(np.int32)
        self._padded = bool((index == units).any())

    def gather(self, x: Any) -> Any:
        """(batch, sum of field widths) → (batch, groups, width)."""
        if self._uniform:
            x = ops.reshape(x, (-1, x.shape[1] // self._dim, self._dim))
        if self._padded:
            x = ops.pad(x, [[0, 0], [0, 1]] + [[0, 0]] * (len(x.shape) - 2))
        return ops.reshape(ops.take(x, self._index, axis=1), (-1, *self._shape))
