"""`Block`: rows as NumPy arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows as arrays (rows, …) by name, cheap to shuffle; methods are those of `pyarrow.Table`."""

    arrays: dict[str, np.ndarray]

    @property
    def num_rows(self) -> int:
        return len(next(iter(self.arrays.values())))

    def slice(self, start: int, length: int | None = None) -> "Block":
        """Some rows, not copied."""
        end = None if length is None else start + length
        return Block({name: array[start:end] for name, array in self.arrays.items()})

    def take(self, index: np.ndarray) -> "Block":
        """The rows at some positions."""
        return Block({name: array[index] for name, array in self.arrays.items()})

    @classmethod
    def concat(cls, blocks: Sequence["Block"]) -> "Block":
        """Several blocks as one."""
        if len(blocks) == 1:
            return blocks[0]
        names = blocks[0].arrays
        return cls({name: np.concatenate([b.arrays[name] for b in blocks]) for name in names})
