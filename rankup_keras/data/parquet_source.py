"""Parquet files, row group by row group."""

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rankup_keras.data.data_error import DataError
from rankup_keras.data.source import Chunk, Unit


class ParquetSource:
    """Reads only the columns that are needed, in stretches smaller than a row group."""

    text = False

    def schema(self, file: Path) -> pa.Schema:
        with _open(file) as opened:
            return opened.schema_arrow

    def units(self, file: Path) -> list[Unit]:
        with _open(file) as opened:
            return [(file, group) for group in range(opened.num_row_groups)]

    def rows(self, file: Path) -> int:
        """How many rows a file says that it has."""
        with _open(file) as opened:
            return int(opened.metadata.num_rows)

    def read(
        self, unit: Unit, columns: Sequence[str], listed: Set[str], rows: int
    ) -> Iterator[Chunk]:
        file, group = unit
        with _open(file) as opened:
            first = sum(opened.metadata.row_group(i).num_rows for i in range(group or 0))
            try:
                batches = opened.iter_batches(rows, row_groups=[group], columns=list(columns))
                for batch in batches:
                    start = first
                    yield Chunk(batch, file, start, lambda row, start=start: start + row + 1)  # type: ignore[misc]
                    first += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                raise DataError(
                    "The file is damaged: its columns cannot be read. Write or copy it again. "
                    f"({_first_line(error)})",
                    file,
                    line=first + 1,
                ) from error


def _open(file: Path) -> pq.ParquetFile:
    try:
        if file.stat().st_size == 0:
            raise DataError("The file is empty.", file)
        return pq.ParquetFile(file, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        with file.open("rb") as raw:
            head = raw.read(4)
        if head == b"PAR1":
            why = "It begins as a Parquet file and has no valid end: it was cut short"
        else:
            why = f"It is not a Parquet file: it begins with {head!r}, not b'PAR1'"
        raise DataError(
            f"{why}. Write or copy it again, or give the right `format`. ({_first_line(error)})",
            file,
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
