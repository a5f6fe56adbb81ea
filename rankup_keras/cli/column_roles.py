"""What the columns of a data file seem to be, by their names and a sample of their values."""

import dataclasses
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.parquet_source import ParquetSource
from rankup_keras.data.paths import Paths, format_of, resolve_paths
from rankup_keras.data.tfrecord_source import TFRecordSource
from rankup_keras.features.conversion import NO_NUMBER, family

SAMPLE = 50_000
# Beside labels that were asked for: what is called a label is not known before they are.
_OTHER_LABEL = re.compile(r"(^|_)(label|target)(_|$)")
_LABEL = re.compile(r"(^|_)(label|click|clicked|target|conversion|purchase|buy|like|y)(_|$)|^is_")
_ID = re.compile(r"(^|_)(id|user|item|uid|iid|ad|campaign|category|cat|code|city|country)(_|$)|id$")
_NUMBER = re.compile(r"(^|_)(age|price|count|num|amount|score|rating|mean|rate|ctr|sum|ts)s?(_|$)")
_SPLITS = {"train", "training", "valid", "validation", "val", "dev", "test", "eval"}


@dataclasses.dataclass
class Column:
    """A column and what it seems to be.

    The role is `"label"`, `"split"`, `"categorical"`, `"numeric"`, `"list"`, `"vector"` or
    `"skip"`.
    """

    name: str
    role: str
    why: str
    dtype: str = "string"  # of a category; or "int64"
    distinct: int = 0  # values in the sample
    length: int = 0  # of the lists of a list or vector
    values: tuple[str, ...] = ()  # of a split
    rate: float = 0.0  # share of positives of a label


def read_columns(
    paths: Paths, file_format: str | None, options: CsvOptions, labels: list[str]
) -> tuple[list[Column], int, str]:
    """The columns of the first file, judged by its first rows.

    Returns:
        The columns, the number of rows that were read, and the format.
    """
    files = resolve_paths(paths)
    kind = format_of(files, file_format)
    source: Any
    if kind == "parquet":
        source = ParquetSource()
    elif kind == "tfrecord":
        source = TFRecordSource()
    else:
        source = CsvSource(options.for_format(kind), BadRows("skip", limit=1_000_000))
    schema = source.schema(files[0])
    for label in labels:
        if label not in schema.names:
            message = f"There is no column {label!r} for a label. Columns: {schema.names}."
            raise DataError(message, files[0])
    table = _first_rows(source, files[0], schema)
    columns = [_judge(name, _array(table, name), labels, source.text) for name in schema.names]
    _leave_out_leaks(columns, table)
    return columns, table.num_rows, kind


def _first_rows(source: Any, file: Any, schema: pa.Schema) -> pa.Table:
    listed = {field.name for field in schema if family(field.type).startswith("list of ")}
    batches: list[pa.RecordBatch] = []
    rows = 0
    for unit in source.units(file):
        for chunk in source.read(unit, schema.names, listed, 8192):
            batches.append(chunk.batch)
            rows += chunk.batch.num_rows
            if rows >= SAMPLE:
                return pa.Table.from_batches(batches)
    if not rows:
        raise DataError("The file has no rows.", file)
    return pa.Table.from_batches(batches)


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    array = pa.concat_arrays(column.chunks)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _judge(name: str, array: pa.Array, labels: list[str], text: bool) -> Column:
    kind = family(array.type)
    lower = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("-", "_")
    if kind == "null":
        return Column(name, "skip", "it has no value in the rows that were read")
    if kind.startswith("list of "):
        return _judge_list(name, array, kind)
    if kind not in ("text", "integer", "number"):
        return Column(name, "skip", f"no feature takes its type {array.type}")
    values = _as_text(array)
    distinct = int(pc.count_distinct(values).as_py())
    numbers = _as_numbers(array) if kind != "text" or text else None
    seen = set(values.unique().drop_null().to_pylist()) if distinct <= 16 else set()
    binary = bool(seen) and seen <= {"0", "1", "0.0", "1.0", "true", "false"}
    if name in labels or (not labels and _LABEL.search(lower) and binary):
        rate = 0.0 if numbers is None else float(np.nanmean(numbers))
        return Column(name, "label", "0 and 1", rate=rate)
    if labels and _OTHER_LABEL.search(lower):
        return Column(name, "skip", "it is named like a label; --label makes it a task")
    if kind == "text" and len(seen) > 1 and {value.lower() for value in seen} <= _SPLITS:
        return Column(name, "split", "its values", values=tuple(sorted(seen)))
    if distinct == 1:
        return Column(name, "skip", "it has one value only")
    if numbers is None:
        return Column(name, "categorical", "text", distinct=distinct)
    return _judge_number(name, lower, numbers, distinct, "string" if text else "int64")


def _judge_number(name: str, lower: str, numbers: np.ndarray, distinct: int, dtype: str) -> Column:
    known = numbers[np.isfinite(numbers)]
    whole = bool(len(known)) and bool(np.all(known == np.round(known)))
    if _NUMBER.search(lower):
        return Column(name, "numeric", "its name", distinct=distinct)
    if not whole:
        return Column(name, "numeric", "fractions", distinct=distinct)
    if _ID.search(lower) and known.min() >= 0:
        return Column(name, "categorical", "its name", dtype, distinct)
    span = float(known.max() - known.min()) + 1
    if known.min() >= 0 and distinct / span > 0.5 and distinct < len(numbers):
        return Column(name, "categorical", "whole numbers close together", dtype, distinct)
    return Column(name, "numeric", "whole numbers far apart", distinct=distinct)


def _judge_list(name: str, array: pa.Array, kind: str) -> Column:
    lengths = pc.list_value_length(array).drop_null().to_numpy()
    longest = int(lengths.max(initial=0))
    if kind == "list of number":
        if longest and np.all((lengths == longest) | (lengths == 0)):
            return Column(name, "vector", "lists of numbers of equal length", length=longest)
        return Column(name, "skip", "its lists of numbers differ in length")
    if kind not in ("list of text", "list of integer"):
        return Column(name, "skip", f"no feature takes its type {array.type}")
    dtype = "string" if kind == "list of text" else "int64"
    usual = int(np.quantile(lengths, 0.95)) if len(lengths) else 1
    return Column(name, "list", "lists", dtype, length=max(1, usual))


def _as_text(array: pa.Array) -> pa.Array:
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        try:
            array = array.cast(pa.string())
        except pa.ArrowInvalid:  # not UTF-8
            text = [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
            array = pa.array(text, pa.string())
    elif not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    return pc.if_else(pc.is_in(array, pa.array([""])), pa.scalar(None, pa.string()), array)


def _as_numbers(array: pa.Array) -> np.ndarray | None:
    """The column as numbers, or `None` where a value is not a number."""
    if family(array.type) == "text":
        text = pc.utf8_trim_whitespace(_as_text(array))
        array = pc.if_else(pc.is_in(text, pa.array(NO_NUMBER)), None, text)
    try:
        return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None


def _leave_out_leaks(columns: list[Column], table: pa.Table) -> None:
    """Leaves out columns whose value gives a label away, which mostly are known after the fact."""
    labels = {}
    for column in columns:
        if column.role == "label":
            numbers = _as_numbers(_array(table, column.name))
            if numbers is not None and 0 < np.nanmean(numbers) < 1:
                labels[column.name] = numbers
    for column in columns:
        if column.role not in ("numeric", "categorical") or column.distinct > 200:
            continue
        codes = _as_text(_array(table, column.name)).dictionary_encode("encode").indices
        index = codes.to_numpy(zero_copy_only=False)
        for label, values in labels.items():
            sums = np.bincount(index, values)
            counts = np.bincount(index)
            wrong = np.minimum(sums, counts - sums).sum() / len(values)
            if wrong < 0.02 * min(values.mean(), 1 - values.mean()):
                column.role = "skip"
                column.why = f"it gives {label!r} away: is it known beforehand?"
