"""Filters on the rows of files: the parts of a split, by a column or at random."""

import dataclasses
import datetime as dt
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.data_error import DataError
from rankup_keras.data.source import Chunk
from rankup_keras.features.splitmix64 import STEP, splitmix64


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
        values: the values, compared as text, so that 1 and "1" are equal.

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

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def mask(self, chunk: Chunk) -> np.ndarray:
        text = _as_text(chunk, self.column)
        wanted = pa.array([str(value) for value in self.values], pa.string())
        return pc.fill_null(pc.is_in(text, wanted), False).to_numpy(zero_copy_only=False)


@dataclasses.dataclass(frozen=True)
class Between:
    """Rows whose number or time in a column is in `[low, high)`, as in a split by time.

    Args:
        column: name of the column: numbers; or, with bounds in text, dates, timestamps or ISO text.
            What has no time zone is taken as UTC.
        low: lower bound, inclusive: a number, or text such as `"2024-01-08"` or
            `"2024-01-08 12:00"`. `None` for none.
        high: upper bound, exclusive, or `None` for none.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    where = [rk.data.Between("day", 20, 30)]
    late = rk.data.Files("logs", features, ["click"], where=where)
    print(rk.data.scan(late).rows)
    ```

    Raises:
        ValueError: a bound in text that is no date.
    """

    column: str
    low: float | str | None = None
    high: float | str | None = None

    def __post_init__(self) -> None:
        self._bounds()

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def _bounds(self) -> tuple[float | None, float | None]:
        low, high = (_moment(v) if isinstance(v, str) else v for v in (self.low, self.high))
        return low, high

    def mask(self, chunk: Chunk) -> np.ndarray:
        column = chunk.batch.column(chunk.batch.schema.get_field_index(self.column))
        in_text = isinstance(self.low, str) or isinstance(self.high, str)
        try:
            if pa.types.is_binary(column.type):
                column = column.cast(pa.string())
            if in_text:
                column = _moments(column)
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            wanted = "times or ISO dates" if in_text else "numbers"
            raise DataError(
                f"The column must hold {wanted}, to be split by: {str(error).splitlines()[0]}",
                chunk.file,
                column=self.column,
            ) from error
        mask = ~np.isnan(values)
        low, high = self._bounds()
        if low is not None:
            mask &= values >= low
        if high is not None:
            mask &= values < high
        return mask


def _moment(text: str) -> float:
    """Microseconds since 1970 in UTC."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"A bound must be a number or a date such as '2024-01-08 12:00'. Received: {text!r}."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) / dt.timedelta(microseconds=1)


def _moments(column: pa.Array) -> pa.Array:
    """Dates, timestamps or ISO text as microseconds since 1970 in UTC."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        column = pc.if_else(pc.is_in(text, pa.array(["", "\\N"])), None, text)
        zoned = pc.any(pc.match_substring_regex(column, r":\d\d.*(Z|[+-]\d\d:?\d\d)$")).as_py()
        column = column.cast(pa.timestamp("us", "UTC") if zoned else pa.timestamp("us"))
    zone = getattr(column.type, "tz", None)
    return column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())


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
            `None` (default) for single rows.

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

    @property
    def columns(self) -> list[str]:
        return [] if self.by is None else [self.by]

    def mask(self, chunk: Chunk) -> np.ndarray:
        if self.by is None:
            # A file's first name: of x.csv and x.parquet the same rows.
            start = zlib.crc32(chunk.file.name.split(".")[0].encode()) << 32
            rows = np.arange(chunk.batch.num_rows, dtype=np.uint64) + np.uint64(chunk.first)
            keys = rows ^ np.uint64(start)
        else:
            encoded = pc.dictionary_encode(_as_text(chunk, self.by), null_encoding="encode")
            values = encoded.dictionary.to_pylist()
            hashes = np.array([zlib.crc32((v or "").encode()) for v in values], np.uint64)
            keys = hashes[encoded.indices.to_numpy(zero_copy_only=False)]
        place = splitmix64(keys + np.uint64((self.seed + 1) * STEP % 2**64))
        share = (place >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (share >= self.begin) & (share < self.end)


def _as_text(chunk: Chunk, name: str) -> pa.Array:
    column = chunk.batch.column(chunk.batch.schema.get_field_index(name))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(
            f"The column's values cannot be compared as text: {str(error).splitlines()[0]}",
            chunk.file,
            column=name,
        ) from error
