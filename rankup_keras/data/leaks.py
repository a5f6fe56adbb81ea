"""Columns that tell a label because they are written after it."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.files import Files
from rankup_keras.data.packing import key, one_chunk
from rankup_keras.features.columns import as_mapping
from rankup_keras.features.conversion import decoded, numbers_in_text, show
from rankup_keras.features.target import family, missing_columns_error
from rankup_keras.metrics.exact import auc

# Rows of files that are looked at, from so many of their stretches at most.
ROWS, STRETCHES = 100_000, 16
TELLING_AUC = 0.99
# A value is with one label only where chance alone would make it so less often than this.
CHANCE = 1e-6
# Share of a label's rows from which on values of its own are reported.
SHARE = 0.05
BINS = 200

_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
_EVENT = re.compile(r"^(ts|time|timestamp|date|datetime|(event|impression|request|show|expos).*)$")
_DAY = 86_400.0


@dataclasses.dataclass(frozen=True)
class Leak:
    """A column that gives a label away; as text, a sentence for people.

    Attributes:
        column: the column.
        label: the label.
        kind: `"auc"`, the column alone orders the rows by label; `"later label"`,
            a column of 0 and 1 that is 1 with one label only; `"one label"`, values
            that exist with one label only; `"time"`, times after the event.
        value: the AUC; for the others the share of rows that they are.
        reason: what was found.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"paid": [0, 1, 0, 1] * 50, "click": [0, 1, 0, 1] * 50}
    (leak,) = rk.data.find_leaks(rows, ["click"])
    print(leak.column, leak.kind)
    ```
    """

    column: str
    label: str
    kind: Literal["auc", "later label", "one label", "time"]
    value: float
    reason: str

    def __str__(self) -> str:
        return (
            f"Column {self.column!r} {self.reason}. If it is not known when the model is asked, "
            "leave it out."
        )


def find_leaks(
    rows: Any, labels: Iterable[str] | Mapping[str, Any] = (), time: str | None = None
) -> list[Leak]:
    """Finds columns of which a single one tells a label, as none does that is known beforehand.

    An AUC is that of rows whose label had no part in it: values, such as ids, have
    the rate of their other rows, numbers their order, from either side.

    Args:
        rows: a dict of columns, a pandas frame, a pyarrow table, or `Files`, of
            which some 100,000 rows are read.
        labels: names of the columns with labels, which hold 0 and 1 (or true and
            false, yes and no), or a dict from a label's name to its values; of
            `Files` those of the tasks.
        time: the column that holds the time of the event. Defaults to the only
            column of times that is never missing, or the one so named.

    Returns:
        What was found, a column at most once for each label. Labels with fewer
        than ten rows of either kind tell nothing.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"dwell": [0.0, 9.5, 0.0, 3.1] * 20, "hour": [1, 2, 3, 4] * 20, "click": [0, 1] * 40}
    for leak in rk.data.find_leaks(rows, ["click"]):
        print(leak)
    ```
    """
    if isinstance(rows, Files):
        columns, truth = _sampled(rows)
    else:
        given = as_mapping(rows)
        if not isinstance(labels, Mapping):
            names = [labels] if isinstance(labels, str) else list(labels)
            if missing := [name for name in names if name not in given]:
                raise missing_columns_error(missing, list(given))
            labels = {name: given[name] for name in names}
        truth = {name: _as_array(values) for name, values in labels.items()}
        columns = {name: _as_array(given[name]) for name in given if name not in truth}
    views = {name: view for name, array in columns.items() if (view := _View.of(array)) is not None}
    found = []
    for label, values in truth.items():
        known, y = _labels(values)
        if min(y.sum(), len(y) - y.sum()) < 10:
            continue
        for name, view in views.items():
            leak = _of_values(name, label, view.rows(known), y)
            if leak is not None:
                found.append(leak)
    told, first = {leak.column for leak in found}, next(iter(truth), "")
    late = _after_the_event(views, time)
    return found + [Leak(n, first, "time", share, why) for n, share, why in late if n not in told]


@dataclasses.dataclass(frozen=True)
class _View:
    """A column as codes of its values, and as numbers and times where it can be read so."""

    codes: np.ndarray
    values: pa.Array
    numbers: np.ndarray | None
    times: np.ndarray | None

    @classmethod
    def of(cls, array: pa.Array) -> "_View | None":
        kind = family(array.type)
        if kind.startswith("list of "):
            array, kind = pc.list_value_length(array).cast(pa.int64()), "integer"
        if kind == "null":
            return None
        if kind == "text":
            array = pc.replace_with_mask(
                array, pc.equal(pc.binary_length(array), 0), pa.scalar(None, array.type)
            )
        encoded = array.dictionary_encode(null_encoding="encode")
        return cls(
            encoded.indices.to_numpy(zero_copy_only=False),
            encoded.dictionary,
            _numbers(array, kind),
            _times(array, kind),
        )

    def rows(self, index: np.ndarray) -> "_View":
        """The view of some rows."""
        numbers, times = (None if v is None else v[index] for v in (self.numbers, self.times))
        return _View(self.codes[index], self.values, numbers, times)


def _of_values(column: str, label: str, view: _View, y: np.ndarray) -> Leak | None:
    value = _best_auc(view, y)
    if value >= TELLING_AUC:
        why = f"alone tells {label!r}: it orders {len(y):,} rows with an AUC of {value:.4f}"
        return Leak(column, label, "auc", value, why)
    counts = np.bincount(view.codes, minlength=len(view.values))
    positives = np.bincount(view.codes, y, len(view.values))
    rate = y.mean()
    for side, own, chance in ((1, positives, rate), (0, counts - positives, 1 - rate)):
        # Values of one side so often that chance would not have done it.
        only = (counts > 0) & (own == counts) & (counts * np.log(chance) < np.log(CHANCE))
        if not only.any():
            continue
        rows, share = int(counts[only].sum()), float(own[only].sum() / own.sum())
        often = int(np.argmax(np.where(only, counts, 0)))
        named = show(view.values[often].as_py())
        if side == 1 and _is_flag(view) and _word(view.values[often]) in _TRUE:
            why = f"is {named} only where {label!r} is 1 ({rows:,} rows), as a later label is"
            return Leak(column, label, "later label", rows / len(y), why)
        if share >= SHARE:
            why = (
                f"has values that only rows with {label!r} = {side} have, {share:.0%} of those "
                f"rows, such as {'a missing value' if named == 'None' else named}"
            )
            return Leak(column, label, "one label", rows / len(y), why)
    return None


def _is_flag(view: _View) -> bool:
    texts = {_word(value) for value in view.values if value.is_valid}
    return len(texts) <= 2 and texts <= {*_TRUE, *_FALSE}


def _word(value: pa.Scalar) -> str:
    # Text of files is read as bytes.
    value = value.as_py()
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).lower()


def _best_auc(view: _View, y: np.ndarray) -> float:
    half = np.random.default_rng(0).random(len(y)) < 0.5
    found = [_auc_of_codes(view.codes, y, half)]
    if view.numbers is not None:
        known = np.isfinite(view.numbers)
        for place in (-np.inf, np.inf):
            value = auc(y, np.where(known, view.numbers, place))
            found += [value, 1 - value]
        if len(view.values) > BINS and known.any():
            edges = np.unique(np.quantile(view.numbers[known], np.linspace(0, 1, BINS)))
            bins = np.where(known, np.searchsorted(edges, view.numbers) + 1, 0)
            found.append(_auc_of_codes(bins, y, half))
    return float(np.nanmax(found)) if np.isfinite(found).any() else 0.5


def _auc_of_codes(codes: np.ndarray, y: np.ndarray, half: np.ndarray) -> float:
    """AUC of every value's rate, by the rows of one half for those of the other."""
    size, found = int(codes.max()) + 1, []
    for own in (half, ~half):
        counts = np.bincount(codes[~own], minlength=size)
        rates = (np.bincount(codes[~own], y[~own], size) + y.mean()) / (counts + 1)
        found.append(auc(y[own], rates[codes[own]]))
    return float(np.mean(found))


def _after_the_event(
    views: Mapping[str, _View], time: str | None
) -> Iterator[tuple[str, float, str]]:
    times = {name: view.times for name, view in views.items() if view.times is not None}
    if time is None:
        whole = [name for name, values in times.items() if np.isfinite(values).all()]
        named = [name for name in whole if _EVENT.match(name.lower())]
        time = whole[0] if len(whole) == 1 else next(iter(named), None)
    if time not in times:
        return
    # An event's time may be a day or an hour; what falls into it is not after it.
    event = times[time]
    coarse = next((unit for unit in (_DAY, 3600.0) if not np.any(event % unit)), 0.0)
    for name, values in times.items():
        with np.errstate(invalid="ignore"):
            late = (values > event + coarse) & (values < event + 366 * _DAY)
        if name != time and late.sum() >= 10 and late.mean() >= 0.01:
            yield name, float(late.mean()), f"is later than {time!r} in {late.mean():.1%} of rows"


# Columns of any library


def _sampled(files: Files) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
    """Some rows of files, converted: columns of features, and labels by column."""
    units = files.units
    units = [units[i] for i in np.unique(np.linspace(0, len(units) - 1, STRETCHES, dtype=int))]
    tables, wanted = [], -(-ROWS // len(units))
    for unit in units:
        rows = 0
        for table in files.chunks(unit):
            tables.append(table.slice(0, wanted - rows))
            rows += tables[-1].num_rows
            if rows >= wanted:
                break
    if not tables:
        return {}, {}
    table = pa.concat_tables(tables)
    parts: dict[str, dict[str, pa.Array]] = {"feature": {}, "label": {}}
    for target in files.targets:
        if target.role in parts:
            parts[target.role][target.column] = one_chunk(table.column(key(target)))
    return parts["feature"], parts["label"]


def _as_array(values: Any) -> pa.Array:
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, from_pandas=True)
    return decoded(one_chunk(values) if isinstance(values, pa.ChunkedArray) else values)


def _labels(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose label is known, and their labels."""
    if pa.types.is_binary(array.type):
        array = array.cast(pa.string())
    text = pc.utf8_lower(array.cast(pa.string()))
    true, false = (pc.is_in(text, pa.array(values)).to_numpy(False) for values in (_TRUE, _FALSE))
    known = np.flatnonzero(true | false)
    return known, true[known].astype(np.float64)


def _numbers(array: pa.Array, kind: str) -> np.ndarray | None:
    try:
        if kind == "text":
            array = numbers_in_text(array)
        elif pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        elif kind not in ("integer", "number"):
            return None
        return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        return None


def _times(array: pa.Array, kind: str) -> np.ndarray | None:
    """Seconds since 1970 of dates, of text that reads as such, and of numbers that may be such."""
    numbers = None
    for form in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        if kind == "text" or pa.types.is_temporal(array.type):
            try:
                text = array.cast(pa.string()) if pa.types.is_binary(array.type) else array
                whole = text.cast(form, safe=False).cast(pa.int64())
            except pa.ArrowException:
                continue
            return whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / 1e6
    numbers = _numbers(array, kind)
    if numbers is None or not np.isfinite(numbers).any():
        return None
    known = numbers[np.isfinite(numbers) & (numbers > 0)]
    for scale in (1.0, 1e3, 1e6, 1e9):
        # From 1985 to 2100.
        if len(known) and known.min() > 5e8 * scale and known.max() < 4.1e9 * scale:
            return np.where(numbers > 0, numbers, np.nan) / scale
    return None
