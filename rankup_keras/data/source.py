"""What every file format provides."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some rows in the order of their file, as they were read.

    Attributes:
        batch: the columns.
        file: where they are from.
        first: number of the first row in the file, from 0.
        lines: from a row of the file, from 0, to its line, where text files skip lines.
    """

    batch: pa.RecordBatch
    file: Path
    first: int
    lines: Callable[[int], int] = (1).__add__

    def line(self, row: int) -> int:
        """The line, or the number from 1, of a row of the chunk in its file."""
        return self.lines(self.first + row)


# A stretch of a file that can be read by itself: a row group, or the whole.
Unit = tuple[Path, int | None]


class Source(Protocol):
    """Reads files of one format."""

    text: bool

    def schema(self, file: Path) -> pa.Schema:
        """Names and types of a file's columns, by its head or foot alone."""
        ...

    def units(self, file: Path) -> list[Unit]:
        """The stretches of a file."""
        ...

    def read(
        self, unit: Unit, columns: Sequence[str], listed: Set[str], rows: int
    ) -> Iterator[Chunk]:
        """Some columns, those in `listed` as lists, in chunks of at most `rows` rows."""
        ...
