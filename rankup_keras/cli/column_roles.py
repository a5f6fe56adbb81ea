"""What the columns of data files seem to be, by their names and a sample of their values."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.cli.amounts import (
    grouped,
    mark_of_missing,
    numbers_but_for,
    point_groups,
    shortened,
    with_units,
)
from rankup_keras.cli.label_columns import Label, find_labels, plain
from rankup_keras.cli.list_columns import (
    as_lists,
    list_separator,
    name_events,
    name_histories,
    name_times,
)
from rankup_keras.cli.sampling import Sample, draw
from rankup_keras.cli.text_dialect import format_by_content, sniff
from rankup_keras.cli.time_columns import times_of
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.leaks import find_leaks
from rankup_keras.data.parquet_source import ParquetSource
from rankup_keras.data.paths import Paths, format_of, resolve_paths
from rankup_keras.data.tfrecord_source import TFRecordSource
from rankup_keras.features.conversion import NO_GROUPS, NO_NUMBER, decimal_commas, show
from rankup_keras.features.positive import Positive
from rankup_keras.features.target import family

# Beside labels that were asked for: what is called a label is not known before they are.
_OTHER_LABEL = re.compile(r"(^|_)(label|target)(_|$)")
_ID = re.compile(r"(^|_)(id|user|item|uid|iid|ad|campaign|category|cat|code|city|country)(_|$)|id$")
_NUMBER = re.compile(
    r"(^|_)((age|price|count|num|amount|score|rating|mean|rate|ctr|sum|duration|dwell|length|ms)s?"
    r"|seconds|secs?|minutes|hours|days|bytes|quantity|qty|distance|balance|salary|income|percent)"
    r"(_|$)"
)
_INDEX = re.compile(r"^$|^unnamed_\d+$|^index$|^index_level_\d+$|^row(_?(id|number|num|nr))?$")
# What one request has: later ones come with values of their own.
_REQUEST = re.compile(
    r"(^|_)(session|request|req|impression|imp|search|query|visit|trace|auction|bid|transaction)"
    r"_?(id|uuid|guid|key|hash|token)$|^session$"
)
# Share of distinct values from which on such a column names requests, not kinds of them.
_MANY = 0.02
# Values of numbers with a unit; fewer are as good as categories.
_AMOUNTS = 50
_SPLITS = {"train", "training", "valid", "validation", "val", "dev", "test", "eval"}
# From as many rows on, a value of its own in every row says that the column names rows.
_ENOUGH = 100
# Known values that a column must have, so that the rows to train on have some.
_KNOWN = 10
# Integers beyond are identifiers: float64 cannot tell them apart.
_EXACT = 2**53


@dataclasses.dataclass
class Column:
    """A column and what it seems to be.

    The role is `"label"`, `"split"`, `"time"`, `"categorical"`, `"numeric"`, `"list"`,
    `"history"`, `"vector"`, `"events"` (the column of their times), `"part"` (of them) or `"skip"`.
    """

    name: str
    role: str
    why: str
    dtype: str = "string"  # of a category; or "int64"
    distinct: int = 0  # values in the sample
    length: int = 0  # of the lists of a list, history or vector
    values: tuple[Any, ...] = ()  # of a split; of a time, where its last tenths begin
    rate: float = 0.0  # share of positives of a label
    positive: Any = None  # rule of a label
    missing: int = 0  # rows without a label
    unit: str = ""  # of a time in whole numbers: s, ms, us or ns
    of: str = ""  # the column whose values a history has; the request's time, of events
    events: dict[str, Any] | None = None  # of lists of times: order, aligned columns, arguments
    repeated: bool = False  # whether enough values are frequent to leave out the rare ones
    lines: bool = False  # whether values hold line breaks, which no vocabulary file can


@dataclasses.dataclass
class Found:
    """What is known of some files.

    Attributes:
        columns: the columns in their order.
        rows: rows that were read, all of text files.
        format: the files' format.
        csv: options of text files that differ from the defaults.
        told: what else was found, as sentences.
        bad_rows: malformed lines among those that were read.
    """

    columns: list[Column]
    rows: int
    format: str
    csv: dict[str, Any]
    told: list[str]
    bad_rows: int = 0


def read_columns(
    paths: Paths, file_format: str | None, csv: dict[str, Any], labels: Sequence[str]
) -> Found:
    """The columns of files, judged by rows from all over them.

    Args:
        paths: as `Files` takes them.
        file_format: as `Files` takes it; `None` finds it by names or content.
        csv: options of text files that the user has given.
        labels: columns to predict, each perhaps with a rule as in `"rating>=4"`.
    """
    files = resolve_paths(paths)
    kind = file_format or format_by_content(files[0]) or format_of(files, None)
    kind = format_of(files, kind)
    told: list[str] = []
    bad_rows = BadRows("skip", limit=1_000_000)
    source: Any
    if kind == "parquet":
        source = ParquetSource()
    elif kind == "tfrecord":
        source = TFRecordSource()
    else:
        csv, told = sniff(files[0], kind, csv)
        source = CsvSource(CsvOptions(**csv).for_format(kind), bad_rows)
    schema = source.schema(files[0])
    sample = draw(source, files, schema)
    if source.text:
        separator = list_separator(sample, csv.get("list_separator"))
        if separator not in (None, "|"):
            csv["list_separator"] = separator
        sample.table = as_lists(sample, separator)
    columns = judge(sample, labels, source.text, csv.get("decimal", "."))
    for name in sorted({name for name in schema.names if name not in sample.table.schema.names}):
        columns.append(Column(name, "skip", "there are several columns of this name; rename them"))
    return Found(columns, sample.rows, kind, csv, told, bad_rows.count)


def judge(
    sample: Sample, labels: Sequence[str] = (), text: bool = False, decimal: str = "."
) -> list[Column]:
    """The role of every column; `text` says that values of text may be numbers."""
    names = sample.table.schema.names
    found = {label.name: label for label in find_labels(sample, names, labels)}
    columns = [_judge(name, sample, found, bool(labels), text, decimal) for name in names]
    _drop_unknown(columns, sample)
    name_times(columns, sample)
    _leave_out_leaks(columns, sample)
    name_histories(columns, sample)
    name_events(columns, sample)
    return columns


def _judge(
    name: str, sample: Sample, labels: dict[str, Label], asked: bool, text: bool, decimal: str
) -> Column:
    array, lower = sample.array(name), plain(name)
    kind = family(array.type)
    if name in labels:
        label = labels[name]
        return Column(
            name,
            "label",
            label.why,
            rate=label.rate,
            positive=label.positive,
            missing=label.missing,
        )
    if kind == "null":
        return Column(name, "skip", "it has no value in the rows that were read")
    if kind.startswith("list of "):
        return _judge_list(name, array, kind)
    numbers = _as_numbers(array, decimal) if kind != "text" or text else None
    if kind in ("text", "integer", "number") or kind.startswith(("timestamp", "date")):
        times = times_of(lower, array, None if _ID.search(lower) else numbers)
        if times is not None:
            # A row without a time would be in no part of a split.
            whole = _as_text(array).null_count == 0
            bounds = (times.bounds or ()) if whole else ()
            return Column(name, "time", times.what, values=bounds, unit=times.unit)
    if kind not in ("text", "integer", "number"):
        return Column(name, "skip", f"no feature takes its type {array.type}")
    values = _as_text(array)
    known = len(values) - values.null_count
    counts = values.drop_null().value_counts().field("counts").to_numpy()
    distinct = len(counts)
    seen = set(values.unique().drop_null().to_pylist()) if distinct <= 16 else set()
    if asked and _OTHER_LABEL.search(lower):
        return Column(name, "skip", "it is named like a label; --label makes it a task")
    if kind == "text" and len(seen) > 1 and {value.lower() for value in seen} <= _SPLITS:
        return Column(name, "split", "its values", values=tuple(sorted(seen)))
    if distinct == 1:
        return Column(name, "skip", "it has one value only")
    if not distinct:
        return Column(name, "skip", "it has no value in the rows that were read")
    if kind == "text" and (grouped(values) if numbers is None else point_groups(values)):
        told = f"its numbers have thousands separators. {NO_GROUPS}"
        return Column(name, "skip", f"{told} If 1,234 is a fraction, set csv: {{decimal: ','}}")
    if kind == "text" and numbers is None and distinct > _AMOUNTS:
        shown = values.drop_null()[:1000].to_pylist()
        if shortened(shown):
            told = "its large numbers are shortened, as 1.2k is; write them out, as 1200"
            return Column(name, "skip", told)
        if with_units(shown):
            told = f"its numbers have a unit, as in {show(shown[0])}; write number and unit apart"
            return Column(name, "skip", told)
    if _REQUEST.search(lower) and distinct > max(_AMOUNTS, _MANY * known):
        told = f"it names requests, and later ones have values of their own; `by: {name}` within"
        return Column(name, "skip", f"{told} `split` keeps the rows of one together")
    if why := _names_rows(lower, sample, numbers, distinct, known):
        return Column(name, "skip", why)
    if numbers is None:
        column = _judge_text(name, values, distinct, known)
    else:
        whole = "string" if text or array.type == pa.uint64() else "int64"
        column = _judge_number(name, lower, numbers, counts, whole)
    column.distinct = distinct
    column.repeated = distinct > 50 and int((counts >= _KNOWN).sum()) > 1
    return column


def _names_rows(
    lower: str, sample: Sample, numbers: np.ndarray | None, distinct: int, known: int
) -> str | None:
    """Why a column names rows and says nothing of others, if it does."""
    if _INDEX.match(lower) and (numbers is not None and distinct == known):
        return "it numbers the rows, as the index that pandas writes"
    if distinct < known or known < _ENOUGH:
        return None
    if numbers is None:
        return "every row has a value of its own"
    whole = bool(np.all(numbers[np.isfinite(numbers)] % 1 == 0))
    steps = np.diff(numbers)
    counts_up = whole and bool(np.all(steps > 0)) and np.ptp(numbers) < 2 * sample.rows
    if counts_up or (whole and (_ID.search(lower) or np.nanmax(np.abs(numbers)) > _EXACT)):
        return "every row has a value of its own: it names rows"
    return None


def _judge_text(name: str, values: pa.Array, distinct: int, known: int) -> Column:
    shown = values.drop_null().unique()[:1000].to_pylist()
    objects = [v.strip().startswith(("[", "{")) and v.strip().endswith(("]", "}")) for v in shown]
    if sum(objects) > 0.9 * len(shown):
        read = f"rows[{name!r}].map(json.loads)"
        why = f"its values are lists as text; write them as `a|b|c`, or in Parquet `{read}`"
        if re.match(r"\s*\[\s*\[", shown[-1]):
            why = "its values are lists of lists as text; features take one list per row"
        elif shown[0].strip().startswith("{"):
            why = "its values are objects as text; write their fields as columns, in pandas "
            why += f"`rows.join(pandas.json_normalize({read}))`"
        return Column(name, "skip", why)
    length = np.mean([len(value.split()) for value in shown])
    if length > 5 and distinct > 0.5 * known:
        return Column(name, "skip", "it is free text")
    lines = any("\n" in value or "\r" in value for value in shown)
    several = sum("," in value for value in shown) > 0.5 * len(shown)
    why = "text with commas; if these are lists, see list_separator" if several else "text"
    if words := numbers_but_for(values):
        told = ", ".join(map(show, words))
        why = f"text, numbers but for {told} (leave these empty, and it can be numeric)"
    return Column(name, "categorical", why, lines=lines)


def _judge_number(
    name: str, lower: str, numbers: np.ndarray, counts: np.ndarray, dtype: str
) -> Column:
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return Column(name, "skip", "it has no finite number")
    whole = bool(np.all(known == np.round(known)))
    mark = mark_of_missing(known)
    if _NUMBER.search(lower):
        return Column(name, "numeric", f"its name{mark}")
    if not whole:
        return Column(name, "numeric", f"fractions{mark}")
    # The integer -1 stands for a missing id, so that negative ones are read as text.
    dtype = "string" if known.min() < 0 else dtype
    if _ID.search(lower):
        return Column(name, "categorical", "its name", dtype)
    if np.abs(known).max() > _EXACT:
        return Column(name, "categorical", "whole numbers beyond 2^53", dtype)
    span, distinct = float(known.max() - known.min()) + 1, len(counts)
    if known.min() >= 0 and distinct / span > 0.5 and distinct < len(known):
        return Column(name, "categorical", "whole numbers close together", dtype)
    if distinct <= 0.2 * len(known) and not _like_counts(known):
        return Column(name, "categorical", "whole numbers that repeat like codes", dtype)
    return Column(name, "numeric", f"whole numbers far apart{mark}")


def _like_counts(known: np.ndarray) -> bool:
    """Whether small values are the frequent ones, as of counts and amounts, not of codes."""
    values, counts = np.unique(np.abs(known), return_counts=True)
    if len(values) < 5:
        return False
    order = counts.argsort(kind="stable").argsort()
    return bool(np.corrcoef(values.argsort().argsort(), order)[0, 1] < -0.5)


def _judge_list(name: str, array: pa.Array, kind: str) -> Column:
    lengths = pc.list_value_length(array).drop_null().to_numpy()
    longest = int(lengths.max(initial=0))
    if not longest:
        return Column(name, "skip", "its lists are empty in the rows that were read")
    if kind == "list of number":
        if np.all((lengths == longest) | (lengths == 0)):
            return Column(name, "vector", "lists of numbers of equal length", length=longest)
        return Column(name, "skip", "its lists of numbers differ in length")
    times = kind.startswith("list of timestamp")
    if kind not in ("list of text", "list of integer") and not times:
        flat = "; features take one list per row" if kind.startswith("list of list") else ""
        return Column(name, "skip", f"no feature takes its type {array.type}{flat}")
    dtype = "string" if kind == "list of text" else "int64"
    usual = int(np.quantile(lengths, 0.95))
    return Column(name, "list", "lists", dtype, length=max(1, usual))


def _drop_unknown(columns: list[Column], sample: Sample) -> None:
    """Leaves out columns with hardly a value among the rows to train on."""
    split = next((column for column in columns if column.role == "split"), None)
    training = None
    if split is not None:
        parts = _as_text(sample.array(split.name))
        training = pc.fill_null(pc.starts_with(pc.utf8_lower(parts), "train"), False)
        training = training if pc.any(training).as_py() else None
    for column in columns:
        if column.role in ("label", "split", "skip", "time"):
            continue
        array = sample.array(column.name)
        array = array if training is None else array.filter(training)
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            array = array.flatten()
        elif family(array.type) in ("text", "integer", "number"):
            array = _as_text(array)
        known = len(array) - array.null_count
        if known < min(_KNOWN, len(sample.places)):
            column.role = "skip"
            column.why = f"it has a value in {known} of the rows to train on"


def _as_text(array: pa.Array) -> pa.Array:
    if family(array.type) == "text" and not pa.types.is_string(array.type):
        array = array.cast(pa.binary())
        try:
            array = array.cast(pa.string())
        except pa.ArrowInvalid:  # not UTF-8
            text = [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
            array = pa.array(text, pa.string())
    elif not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    return pc.if_else(pc.is_in(array, pa.array(["", "\\N"])), pa.scalar(None, pa.string()), array)


def _as_numbers(array: pa.Array, decimal: str = ".") -> np.ndarray | None:
    """The column as numbers, or `None` where a value is not a number."""
    if family(array.type) == "text":
        text = pc.utf8_trim_whitespace(_as_text(array))
        if decimal == ",":
            text, grouped = decimal_commas(text)
            if grouped:
                return None
        array = pc.if_else(pc.is_in(text, pa.array(NO_NUMBER)), None, text)
    elif family(array.type) not in ("integer", "number"):
        return None
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    try:
        return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None


def _leave_out_leaks(columns: list[Column], sample: Sample) -> None:
    """Leaves out columns that tell a label by themselves: mostly they are written after it."""
    labels = {}
    for column in columns:
        if column.role == "label":
            rule = Positive("> 0.5" if column.positive is None else column.positive)
            labels[column.name] = pa.array(rule(sample.array(column.name)), from_pandas=True)
    features = {c.name: c for c in columns if c.role in ("numeric", "categorical")}
    rows = {name: sample.array(name) for name in features}
    for leak in find_leaks(rows, labels) if rows else ():
        features[leak.column].role = "skip"
        ask = "is it known beforehand?"
        if leak.kind == "later label":
            ask = f"if it is to be predicted, give --label {leak.column} as well"
        features[leak.column].why = f"it {leak.reason}; {ask}"
