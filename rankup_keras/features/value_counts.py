"""Counts the values of a column exactly, on disk where memory does not suffice."""

import codecs
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

PENDING = 1 << 19
RANGE = 1 << 19


class ValueCounts:
    """Counts of one column's values, `"string"` or `"int64"`.

    Merged counts that outgrow `memory` bytes are sorted and written to a file in `folder`; at the
    end the files are read side by side, one range of values after another.
    """

    def __init__(self, kind: str, memory: int = 1 << 26, folder: str | None = None) -> None:
        self.kind = kind
        self.type = pa.binary() if kind == "string" else pa.int64()
        self.missing = b"" if kind == "string" else -1
        self._memory = memory
        self._folder_given = folder
        self._folder: Path | None = None
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._merged = self._empty()
        self._spills: list[Path] = []
        self.total = 0
        self.missing_rows = 0

    def _empty(self) -> pa.Table:
        return pa.table({"value": pa.array([], self.type), "count": pa.array([], pa.int64())})

    def update(self, values: pa.Array) -> None:
        """Counts the values of a chunk."""
        counted = pc.value_counts(values)
        part = pa.table({"value": counted.field(0), "count": counted.field(1)})
        self.total += len(values)
        self._pending.append(part)
        self._pending_rows += part.num_rows
        if self._pending_rows >= PENDING:
            self._merge()

    def _merge(self) -> None:
        self._merged = _summed([self._merged, *self._pending])
        self._pending, self._pending_rows = [], 0
        if self._merged.nbytes > self._memory:
            self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rankup_keras_", dir=self._folder_given))
        path = self._folder / f"{len(self._spills)}.arrow"
        with pa.ipc.new_file(str(path), self._merged.schema) as writer:
            writer.write_table(self._merged.sort_by("value"), max_chunksize=1 << 16)
        self._spills.append(path)
        self._merged = self._empty()

    def result(self, feature: str, min_count: int = 1, max_values: int | None = None) -> pa.Table:
        """Values that occur at least `min_count` times, by falling count, ties by value.

        Returns:
            A table of `value` and `count`, without the missing value and, with a warning that names
            the feature, without values that cannot stand on a line of a UTF-8 file.
        """
        self._merge()
        unwritable = 0
        kept: list[pa.Table] = []
        rows = 0
        for part in self._ranges():
            gone = pc.equal(part["value"], pa.scalar(self.missing, self.type))
            self.missing_rows += int(pc.sum(part.filter(gone)["count"]).as_py() or 0)
            part = part.filter(pc.invert(gone))
            part = part.filter(pc.greater_equal(part["count"], min_count))
            good = pa.array(one_line_of_text(part["value"]))
            unwritable += part.num_rows - (good.true_count)
            part = part.filter(good)
            kept.append(part)
            rows += part.num_rows
            if max_values is not None and rows > 4 * max_values:
                kept = [_most_frequent(pa.concat_tables(kept)).slice(0, max_values)]
                rows = kept[0].num_rows
        self.close()
        if unwritable:
            warnings.warn(
                f"{unwritable} values of feature {feature!r} hold a line break or a zero byte, "
                "or are not UTF-8, and stay out of its vocabulary: they count as unknown.",
                stacklevel=2,
            )
        return _most_frequent(pa.concat_tables(kept)).slice(0, max_values)

    def close(self) -> None:
        """Removes the files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._spills = None, []

    def _ranges(self) -> Iterator[pa.Table]:
        if not self._spills:
            yield self._merged
            return
        self._spill()
        parts = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in self._spills]
        longest = max(parts, key=lambda part: part.num_rows)
        step = max(1, RANGE // len(parts))
        pivots = [longest["value"][i].as_py() for i in range(step, longest.num_rows, step)]
        starts = [0] * len(parts)
        for pivot in [*pivots, None]:
            pieces = []
            for number, part in enumerate(parts):
                end = part.num_rows if pivot is None else _position(part["value"], pivot)
                pieces.append(part.slice(starts[number], end - starts[number]))
                starts[number] = end
            yield _summed(pieces)


def _summed(tables: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables).combine_chunks()
    summed = whole.group_by("value", use_threads=False).aggregate([("count", "sum")])
    return pa.table({"value": summed["value"], "count": summed["count_sum"]})


def _most_frequent(table: pa.Table) -> pa.Table:
    return table.sort_by([("count", "descending"), ("value", "ascending")])


def _position(values: pa.ChunkedArray, pivot: object) -> int:
    """How many of the sorted values are below the pivot."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle].as_py() < pivot:
            low = middle + 1
        else:
            high = middle
    return low


def write_vocabulary(values: pa.Array | pa.ChunkedArray, path: Path) -> None:
    """Writes one value per line, as a vocabulary file is read."""
    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    values = values.cast(pa.binary())
    with path.open("wb") as file:
        if len(values) and values[0].as_py().startswith(codecs.BOM_UTF8):
            file.write(codecs.BOM_UTF8)  # of two, one is taken for the mark of the encoding
        for start in range(0, len(values), RANGE):
            part = pa.concat_arrays(values.slice(start, RANGE).chunks)
            whole = pa.ListArray.from_arrays(pa.array([0, len(part)], pa.int32()), part)
            file.write(pc.binary_join(whole, b"\n")[0].as_py() + b"\n")


def one_line_of_text(values: pa.ChunkedArray) -> np.ndarray:
    """Which values can stand on a line of a UTF-8 file."""
    good = np.ones(len(values), bool)
    if pa.types.is_integer(values.type):
        return good
    for mark in (b"\n", b"\r", b"\0"):
        good &= pc.less(pc.find_substring(values, mark), 0).to_numpy()
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        for row, value in enumerate(values):
            try:
                value.as_py().decode()
            except UnicodeDecodeError:
                good[row] = False
    return good
