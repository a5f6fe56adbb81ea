"""The error of data that cannot be read as it was described."""

import os
from typing import Any


class DataError(ValueError):
    """Data that is not as described: says where it lies and what would help.

    Args:
        message: what is wrong and what would work, one sentence each.
        file: path of the file, where one is to blame.
        line: number of the line in a text file, or of the row in another, from 1.
        column: name of the column.
        value: the value as it stands in the file.
    """

    def __init__(
        self,
        message: str,
        file: str | os.PathLike[str] | None = None,
        line: int | None = None,
        column: str | None = None,
        value: Any = None,
    ) -> None:
        self.reason = message
        self.file = None if file is None else str(file)
        self.line = line
        self.column = column
        self.value = value
        super().__init__(self._text())

    def _text(self) -> str:
        place = [] if self.file is None else [self.file]
        if self.line is not None:
            place.append(f"line {self.line}")
        if self.column is not None:
            place.append(f"column {self.column!r}")
        return f"{', '.join(place)}: {self.reason}" if place else self.reason
