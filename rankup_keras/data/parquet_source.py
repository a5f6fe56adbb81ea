"""Parquet files, row group by row group."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rankup_keras.data.data_error import DataError
from rankup_keras.data.source import Chunk, Unit

# Largest dictionary, in bytes in the file, that is passed on with every chunk.
CODED_BYTES = 1 << 17
# Spark's and Impala's old times of 96 bits; in nanoseconds the year 9999 would become 1816.
INT96 = "us"


class ParquetSource:
    """Reads only the columns that are needed, in stretches smaller than a row group.

    Args:
        coded: text columns that may stay dictionary-encoded, where the file has
            them so and the dictionary is small. Defaults to none.
    """

    text = False

    def __init__(self, coded: Iterable[str] = ()) -> None:
        self._coded = frozenset(coded)

    def schema(self, file: Path) -> pa.Schema:
        with _open(file) as opened:
            return opened.schema_arrow

    def units(self, file: Path) -> list[Unit]:
        with _open(file) as opened:
            return [(file, group) for group in range(opened.num_row_groups)]

    def rows(self, file: Path) -> int:
        """How many rows per file says that it has."""
        with _open(file) as opened:
            return int(opened.metadata.num_rows)

    def read(
        self, unit: Unit, columns: Sequence[str], listed: Set[str], rows: int
    ) -> Iterator[Chunk]:
        file, group = unit
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(_open(file))
            first = sum(opened.metadata.row_group(i).num_rows for i in range(group or 0))
            coded = self._coded_in(opened.metadata.row_group(group)) & {*columns}
            if coded:
                opened = stack.enter_context(
                    pq.ParquetFile(
                        file,
                        metadata=opened.metadata,
                        read_dictionary=sorted(coded),
                        coerce_int96_timestamp_unit=INT96,
                    )
                )
            try:
                batches = opened.iter_batches(rows, row_groups=[group], columns=list(columns))
                for batch in batches:
                    yield Chunk(batch, file, first)
                    first += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                raise DataError(
                    "The file is damaged: its columns cannot be read. Write or copy it again. "
                    f"({_first_line(error)})",
                    file,
                    line=first + 1,
                ) from error

    def _coded_in(self, group: pq.RowGroupMetaData) -> set[str]:
        found = set()
        for index in range(group.num_columns) if self._coded else ():
            column = group.column(index)
            if column.path_in_schema in self._coded and column.has_dictionary_page:
                size = column.data_page_offset - column.dictionary_page_offset
                if 0 < size <= CODED_BYTES:
                    found.add(column.path_in_schema)
        return found


def _open(file: Path) -> pq.ParquetFile:
    try:
        if file.stat().st_size == 0:
            raise DataError("The file is empty.", file)
        return pq.ParquetFile(file, pre_buffer=False, coerce_int96_timestamp_unit=INT96)
    except (OSError, pa.ArrowException) as error:
        with file.open("rb") as raw:
            head = raw.read(4)
        if head == b"PAR1":
            why = "It begins as a Parquet file but has no valid end: it was cut short"
        else:
            why = f"It is not a Parquet file: it begins with {head!r}, not b'PAR1'"
        raise DataError(
            f"{why}. Write or copy it again, or give the right `format`. ({_first_line(error)})",
            file,
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
