"""Filters on the rows of files: the parts of a split, by a column or at random."""

import dataclasses
import datetime as dt
import numbers
import re
import zlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.data_error import DataError
from rankup_keras.data.source import Chunk
from rankup_keras.features.conversion import decoded, numbers_in_text
from rankup_keras.features.instants import instants_in_text
from rankup_keras.features.splitmix64 import STEP, splitmix64
from rankup_keras.features.target import family

_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d(\.\d+)?)?)?$")
_BOUND = re.compile(r"\d{4}(-\d\d(-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?$")


@runtime_checkable
class RowFilter(Protocol):
    """A filter on rows."""

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        ...

    def mask(self, chunk: Chunk) -> np.ndarray:
        """Which rows of a chunk pass, a boolean array."""
        ...


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Rows whose value of a column is one of some values.

    Args:
        column: name of the column.
        values: the values, compared as text, so that 1 and "1" are equal; of a column
            of timestamps days (`"2024-01-31"`), minutes or seconds, in its own zone.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    where = [rk.data.OneOf("split", ["train"])]
    train = rk.data.Files("logs", features, ["click"], where=where)
    print(rk.data.scan(train).rows)
    ```
    """

    column: str
    values: Sequence[Any]

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or any(v is None or v != v for v in self.values):
            raise ValueError(
                "`values` must be a list of values, none of them missing. "
                f"Received: values={self.values!r}."
            )

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def mask(self, chunk: Chunk) -> np.ndarray:
        text = _as_text(chunk, self.column)
        if pa.types.is_timestamp(_column(chunk, self.column).type):
            mask = np.logical_or.reduce([self._within(chunk, text, each) for each in self.values])
        else:
            # As Arrow and as Python write them: 1 and 1.0, true and True.
            wanted = [str(value) for value in self.values]
            own = [v for v in self.values if isinstance(v, float | np.floating | bool)]
            wanted += [pa.scalar(v).cast(pa.string()).as_py() for v in own]
            mask = pc.is_in(text, pa.array(wanted, pa.string()))
            mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
        return mask

    def _within(self, chunk: Chunk, text: pa.Array, value: Any) -> np.ndarray:
        start = str(value).replace("T", " ")
        if not _TIME.match(start):
            raise DataError(
                f"The column holds timestamps, which read as {text[0].as_py()!r}. Give a day such "
                f"as '2024-01-31', or a time. Received: {value!r}.",
                chunk.file,
                column=self.column,
            )
        return pc.starts_with(text, start).fill_null(False).to_numpy(zero_copy_only=False)


@dataclasses.dataclass(frozen=True)
class Between:
    """Rows whose number or time in a column is in `[low, high)`, as in a split by time.

    Args:
        column: name of the column: of numbers, of timestamps or dates, or of text
            that reads as either.
        low: lower bound, inclusive, or `None` for none: a number, or a time such as
            `"2024-01-31"` or `"2024-01-31 18:00"`, in the zone of the
            column; of text with zones in UTC.
        high: upper bound, exclusive, or `None` for none.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    where = [rk.data.Between("day", 20, 30)]
    late = rk.data.Files("logs", features, ["click"], where=where)
    print(rk.data.scan(late).rows)
    ```
    """

    column: str
    low: float | str | dt.date | None = None
    high: float | str | dt.date | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            bound = getattr(self, name)
            if bound is not None and not isinstance(bound, numbers.Real):
                _microseconds(name, bound)
            elif bound != bound:
                raise ValueError(f"`{name}` must be a number or a time. Received: {name}={bound}.")
        kinds = {isinstance(b, numbers.Real) for b in (self.low, self.high) if b is not None}
        if len(kinds) > 1:
            raise ValueError(
                "`low` and `high` must both be numbers or both be times. "
                f"Received: low={self.low!r}, high={self.high!r}."
            )

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def mask(self, chunk: Chunk) -> np.ndarray:
        column = _column(chunk, self.column)
        if family(column.type) == "text":
            column = column.cast(pa.string())
        low, high = self.low, self.high
        times = {isinstance(b, numbers.Real) for b in (low, high) if b is not None} == {False}
        kind = "times" if times else "numbers"
        try:
            if times:
                low, high = (
                    None if b is None else _microseconds(name, b)
                    for name, b in (("low", low), ("high", high))
                )
                column = _as_local_times(column)
            elif pa.types.is_temporal(column.type):
                raise pa.ArrowInvalid(f"it holds {column.type}, and bounds may be '2024-01-31'")
            elif pa.types.is_string(column.type):
                column = numbers_in_text(column)
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise DataError(
                f"The column must hold {kind}, to be split by: {str(error).splitlines()[0]}",
                chunk.file,
                column=self.column,
            ) from error
        mask = ~np.isnan(values)
        if low is not None:
            mask &= values >= low
        if high is not None:
            mask &= values < high
        return mask


@dataclasses.dataclass(frozen=True)
class Share:
    """A random share of the rows, the same ones every time.

    A row's place in [0, 1) is a hash of the seed, its file's name and its
    number in the file: shares that do not overlap have no row in common, and
    adding files does not move rows.

    Args:
        begin: where the share begins, 0 or more.
        end: where it ends, at most 1.
        seed: seed of the hash. Defaults to 0.
        by: column whose equal values stay together, such as the user, or
            `None` (default) for single rows. Rows without a value, as of nobody
            who is known, are drawn singly.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    where = [rk.data.Share(0.0, 0.8, by="item")]
    train = rk.data.Files("logs", features, ["click"], where=where)
    print(rk.data.scan(train).rows)
    ```
    """

    begin: float
    end: float
    seed: int = 0
    by: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 1:
            raise ValueError(
                "A share must have 0 <= begin <= end <= 1. "
                f"Received: begin={self.begin}, end={self.end}."
            )

    @property
    def columns(self) -> list[str]:
        return [] if self.by is None else [self.by]

    def mask(self, chunk: Chunk) -> np.ndarray:
        # A file's first name: of x.csv and x.parquet the same rows.
        start = zlib.crc32(chunk.file.name.split(".")[0].encode()) << 32
        rows = np.arange(chunk.batch.num_rows, dtype=np.uint64) + np.uint64(chunk.first)
        keys = rows ^ np.uint64(start)
        if self.by is not None:
            encoded = pc.dictionary_encode(_as_text(chunk, self.by), null_encoding="encode")
            values = encoded.dictionary.to_pylist()
            hashes = np.array([zlib.crc32((v or "").encode()) for v in values], np.uint64)
            given, places = np.array([bool(v) for v in values], bool), np.asarray(encoded.indices)
            keys = np.where(given[places], hashes[places], keys)
        place = splitmix64(keys + np.uint64((self.seed + 1) * STEP % 2**64))
        share = (place >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (share >= self.begin) & (share < self.end)


def _column(chunk: Chunk, name: str) -> pa.Array:
    return decoded(chunk.batch.column(chunk.batch.schema.get_field_index(name)))


def _as_local_times(column: pa.Array) -> pa.Array:
    """Microseconds since 1970 by the clock of the column's zone; no float64 rounds them."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    elif pa.types.is_string(column.type):
        column = instants_in_text(numbers_in_text(column))
    elif not pa.types.is_temporal(column.type):
        raise pa.ArrowInvalid(f"it holds {column.type}, and bounds may be numbers")
    return column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())


def _microseconds(name: str, bound: Any) -> float:
    """A bound in microseconds since 1970."""
    try:
        # NumPy also takes "NaT", "today", 20240131 for a year, and zones, which it forgets.
        if not _BOUND.match(str(bound)):
            raise ValueError
        return float(np.datetime64(str(bound), "us").astype(np.int64))
    except ValueError:
        raise ValueError(
            f"`{name}` must be a number or a time such as '2024-01-31 18:00', without a zone. "
            f"Received: {name}={bound!r}."
        ) from None


def _as_text(chunk: Chunk, name: str) -> pa.Array:
    column = _column(chunk, name)
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(
            f"The column's values cannot be compared as text: {str(error).splitlines()[0]}",
            chunk.file,
            column=name,
        ) from error
