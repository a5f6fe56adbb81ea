"""Columns as pyarrow has them → columns of the types that features declare, in memory and in files.

Whole columns are cast at once. Only one in which a cast fails is gone through value by value, to
name the row.
"""

import dataclasses
import decimal
import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.features.instants import instants_in_text, is_iso, since_1970
from rankup_keras.features.target import (
    ARROW,
    EXACT,
    LIST_VIEWS,
    PADDING,
    Problem,
    Target,
    family,
    is_vector,
)

# Marks of a missing value in columns of numbers; in text only the empty value and Hive's `\N` are,
# since NA is a country.
NO_NUMBER = ("", "\\N", "NULL", "null", "NA", "N/A", "n/a", "None", "none", "nan", "NaN")
NO_TEXT = b"\\N"

# A number with thousands separators, which Excel and locales write; 0.125 and 1,5 are none.
_GROUPED = r"^\s*[-+]?[1-9]\d{0,2}(%s\d{3})+(%s\d+)?\s*$"
GROUPED = {
    ".": _GROUPED % ("[,' ]", r"\."),
    ",": _GROUPED % ("[.' ]", ","),
}
NO_GROUPS = "Write numbers without thousands separators, 1234.5 for 1,234.5."


# As Python and JSON write lists; a genre may be "(none listed)".
LIST_IN_TEXT = r"""^\s*(\[.*\]|[({]\s*['"\d].*,.*[)}])\s*$"""


def convert(
    array: pa.Array, target: Target, separator: str | None = None, coded: bool = False
) -> tuple[pa.Array, list[Problem]]:
    """One column in the type of its target, and the values that could not be read.

    Args:
        array: the column as it was read.
        target: what it is to become.
        separator: what separates the values of a list in text, if lists may be text.
        coded: whether single text may stay dictionary-encoded.

    Returns:
        An array without nulls, of `binary`, `int64` or `float32`, of lists of them, or of vectors,
        with padding where a value could not be read; and the problems.
    """
    array = plain_lists(array)
    if target.unit is not None:
        array = since_1970(decoded(array), target.unit)
    if pa.types.is_dictionary(array.type):
        single = target.shape == "single" and target.kind == "string"
        if coded and single and len(array.dictionary) <= len(array):
            return _recoded(array), []
        array = decoded(array)
    if target.shape == "single":
        result, problems = _scalars(array, target)
        if target.role in ("label", "rate", "weight"):
            problems = problems + _check_numbers(result, array, target, problems)
        return result, problems
    return _lists(array, target, separator)


def plain_lists(array: pa.Array) -> pa.Array:
    """Views of lists, and tensors of one dimension, as lists; other arrays as they are."""
    if any(test(array.type) for test in LIST_VIEWS):
        # `cast` leaves the last offset out, as read in pyarrow 26.0.1.
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        return pa.LargeListArray.from_arrays(offsets, array.flatten())
    return array.storage if is_vector(array.type) else array


def decoded(array: pa.Array) -> pa.Array:
    """A dictionary-encoded array as its values, of types too that pyarrow takes from no array."""
    if not pa.types.is_dictionary(array.type):
        return array
    values = array.dictionary
    if family(values.type) == "text" and not pa.types.is_string(values.type):
        values = values.cast(pa.binary())
    return values.take(array.indices)


def _scalars(array: pa.Array, target: Target) -> tuple[pa.Array, list[Problem]]:
    array = decoded(array)
    found = family(array.type)
    if found == "null":
        return pa.array([PADDING[target.kind]] * len(array), ARROW[target.kind]), []
    if found.startswith("list of "):  # only in formats where every value may be a list
        return _all_wrong(array, target, "is a list, and one value is expected.")
    if target.kind == "string":
        return _strings(array, found, target.strict), []
    parse = _integers if target.kind == "int64" else functools.partial(_floats, ARROW[target.kind])
    if target.unit is not None and found == "text":
        parse = functools.partial(_times_in_text, target.unit, target.strict)
    problems: list[Problem] = []
    try:
        result = parse(array, found)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        result, problems = _one_by_one(array, target, parse)
    if target.kind == "int64":
        problems += _check_ids(result, target)
    return result, problems


def _strings(array: pa.Array, found: str, strict: bool = False) -> pa.Array:
    if found == "integer":
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        array = array.cast(pa.string())
    array = array.cast(pa.binary())
    if array.null_count:
        array = array.fill_null(b"")
    if strict:
        return array
    marks = pc.equal(array, pa.scalar(NO_TEXT, pa.binary()))
    if pc.any(marks).as_py():
        array = pc.if_else(marks, pa.scalar(b"", pa.binary()), array)
    return array


def _recoded(array: pa.Array) -> pa.Array:
    values = _strings(array.dictionary, family(array.dictionary.type))
    places = array.indices
    if array.null_count:
        places = places.cast(pa.int32()).fill_null(len(values))
        values = pa.concat_arrays([values, pa.array([b""], pa.binary())])
    return pa.DictionaryArray.from_arrays(places, values)


def _integers(array: pa.Array, found: str) -> pa.Array:
    if found == "text":
        array = numbers_in_text(array)
        if pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py():
            raise pa.ArrowInvalid("hexadecimal: pyarrow reads 0xffffffffffffffff as -1")
        array = array.cast(pa.int64())
    elif found == "number" and not pa.types.is_decimal(array.type):
        limit = EXACT[array.type.bit_width]
        array = array.cast(pa.float64())
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
        if pc.any(pc.greater_equal(pc.abs(array), float(limit))).as_py():
            raise pa.ArrowInvalid("beyond what is exact")
        array = array.cast(pa.int64())
    else:
        array = array.cast(pa.int64())
    return array.fill_null(-1) if array.null_count else array


def _times_in_text(unit: str, strict: bool, array: pa.Array, found: str) -> pa.Array:
    """Text of ISO 8601 and of whole numbers; with `strict` the former alone."""
    text = numbers_in_text(array)
    iso = is_iso(text)
    none = pa.scalar(None, pa.string())
    times = instants_in_text(pc.if_else(iso, text, none), unit).cast(pa.int64())
    # What pandas writes of whole numbers some of which are missing: 1700000000.0.
    others = pc.replace_substring_regex(pc.if_else(iso, none, text), r"^(\d+)\.0+$", r"\1")
    if strict and others.null_count < len(others):
        raise pa.ArrowInvalid("numbers in text")
    return pc.coalesce(times, others.cast(pa.int64()), pa.scalar(-1, pa.int64()))


def _floats(kind: pa.DataType, array: pa.Array, found: str) -> pa.Array:
    if found == "text":
        array = numbers_in_text(array).cast(kind)
    elif pa.types.is_boolean(array.type):
        array = array.cast(pa.int8()).cast(kind)
    elif pa.types.is_decimal(array.type):
        array = array.cast(pa.float64()).cast(kind, safe=False)
    else:
        array = array.cast(kind, safe=False)
    return array.fill_null(math.nan) if array.null_count else array


def numbers_in_text(array: pa.Array) -> pa.Array:
    """Text without the space around it, null where it marks a missing number."""
    text = array if pa.types.is_string(array.type) else array.cast(pa.binary()).cast(pa.string())
    text = pc.utf8_trim_whitespace(text)
    missing = pc.is_in(text, pa.array(NO_NUMBER))
    return pc.if_else(missing, pa.scalar(None, pa.string()), text)


def decimal_commas(text: pa.Array) -> tuple[pa.Array, list[Problem]]:
    """Numbers in text with decimal commas, with points instead.

    The thousands separators of `1.234` would become one: such values are null, and told.
    """
    grouped = pc.fill_null(pc.match_substring_regex(text, GROUPED[","]), False)
    result = pc.replace_substring(text, ",", ".")
    if not pc.any(grouped).as_py():
        return result, []
    problems = [
        Problem(int(row), value := text[int(row)].as_py(), f"{show(value)}: {NO_GROUPS}")
        for row in np.flatnonzero(grouped.to_numpy(zero_copy_only=False))
    ]
    return pc.if_else(grouped, pa.scalar(None, text.type), result), problems


def _one_by_one(
    array: pa.Array, target: Target, parse: Callable[[pa.Array, str], pa.Array]
) -> tuple[pa.Array, list[Problem]]:
    values, problems = [], []
    for row, item in enumerate(array):
        one = pa.array([item.as_py()], array.type)
        try:
            values.append(parse(one, family(array.type))[0].as_py())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values.append(PADDING[target.kind])
            problems.append(Problem(row, item.as_py(), _why_not(item.as_py(), array.type, target)))
    return pa.array(values, ARROW[target.kind]), problems


def _why_not(value: Any, kind: pa.DataType, target: Target) -> str:
    if target.kind != "int64":
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        way = f" {NO_GROUPS}" if any(re.match(form, text) for form in GROUPED.values()) else ""
        return f"{show(value)} is not a number.{way}"
    if target.unit is not None and family(kind) == "text":
        way = "" if target.strict else f"a whole number of {target.unit} since 1970 or "
        return f"{show(value)} is no time: {way}a date with a time, as '2026-09-01T00:02:54Z'."
    if isinstance(value, float) and value.is_integer() and kind.bit_width in EXACT:
        return (
            f"{value:.0f} comes as a {kind}, which is exact below {EXACT[kind.bit_width]:,} only: "
            "digits may be lost already. Read the column as integers or as text."
        )
    why = f"{show(value)} is not a 64-bit integer"
    large = isinstance(value, int | decimal.Decimal) and not -(2**63) <= value < 2**63
    return f"{why}: ids so large must be text, with dtype='string'." if large else f"{why}."


def _check_ids(array: pa.Array, target: Target) -> list[Problem]:
    if target.num_ids is None or not len(array):
        return []
    values = array.to_numpy()
    wrong = np.flatnonzero((values < -1) | (values >= target.num_ids))
    return [
        Problem(
            int(row),
            int(values[row]),
            f"Id {values[row]} is not in [0, {target.num_ids}), the range that `num_ids` sets.",
            error=ValueError,
        )
        for row in wrong
    ]


def _check_numbers(
    result: pa.Array, array: pa.Array, target: Target, known: list[Problem]
) -> list[Problem]:
    values = result.to_numpy(zero_copy_only=False)
    if target.role == "label":
        good = (values == 0) | (values == 1) | (target.nullable & np.isnan(values))
        rule = "a label must be 0 or 1."
    elif target.role == "rate":
        good = (values > 0) & (values <= 1)
        rule = "a `keep_rate` must lie in (0, 1]."
    else:
        good = (values >= 0) & np.isfinite(values)
        rule = "a weight must be a number, 0 or more."
    if good.all():
        return []
    told = {problem.row for problem in known}
    problems = []
    for row in np.flatnonzero(~good):
        if row not in told:
            value = array[int(row)].as_py()
            missing = isinstance(value, str | bytes) and not value
            shown = "missing" if value is None or missing else show(value)
            problems.append(Problem(int(row), value, f"The value is {shown}; {rule}"))
    return problems


def _lists(
    array: pa.Array, target: Target, separator: str | None
) -> tuple[pa.Array, list[Problem]]:
    rows = len(array)
    if family(array.type) == "null":
        array = pa.array([None] * rows, pa.list_(ARROW[target.kind]))
    elif family(array.type) == "text":
        text = array.cast(pa.binary()).cast(pa.string())
        blank = pc.fill_null(pc.is_in(text, pa.array(["", "\\N"])), True)
        text = pc.if_else(blank, pa.scalar(None, pa.string()), text)
        wrong = pc.match_substring_regex(text, LIST_IN_TEXT)
        wrong = pc.and_not(wrong, pc.match_substring(text, separator or "|"))
        if pc.any(wrong).as_py():
            return _without_brackets(text, wrong, target, separator or "|")
        array = pc.split_pattern(text, separator or "|")
    if not family(array.type).startswith("list of "):
        return _all_wrong(array, target, "is one value, and a list is expected.")
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    lengths = lengths.astype(np.int64)
    if array.null_count and pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    flat = array.flatten()
    values, wrong = _scalars(flat, dataclasses.replace(target, shape="single"))
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    owner = np.searchsorted(starts, [p.row for p in wrong], side="right") - 1
    problems = [
        dataclasses.replace(p, row=int(row), reason=f"In the list, {p.reason}")
        for row, p in zip(owner, wrong, strict=True)
    ]
    if target.shape == "list":
        offsets = pa.array(starts.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, values), problems
    return _vectors(values, starts, lengths, target, problems)


def _without_brackets(
    text: pa.Array, wrong: pa.Array, target: Target, separator: str
) -> tuple[pa.Array, list[Problem]]:
    """As `_lists`, of text in which some lists are in brackets, which would become one value."""
    result, problems = _lists(pc.if_else(wrong, None, text), target, separator)
    for row in np.flatnonzero(pc.fill_null(wrong, False).to_numpy(zero_copy_only=False)):
        value = text[int(row)].as_py()
        reason = f"{show(value)} is a list in brackets; write its values with {separator!r} between"
        problems.append(Problem(int(row), value, f"{reason}, without brackets and quotes."))
    return result, problems


def _vectors(
    values: pa.Array,
    starts: np.ndarray,
    lengths: np.ndarray,
    target: Target,
    problems: list[Problem],
) -> tuple[pa.Array, list[Problem]]:
    width = target.dim
    whole = lengths == width
    for row in np.flatnonzero(~whole & (lengths != 0)):
        problems.append(
            Problem(
                int(row),
                int(lengths[row]),
                f"The vector has {lengths[row]} numbers; `dim` is {width}.",
                error=ValueError,
            )
        )
    if whole.all():
        return pa.FixedSizeListArray.from_arrays(values, width), problems
    matrix = np.full((len(lengths), width), np.nan, np.float32)
    flat = values.to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(whole)
    if len(rows):
        matrix[rows] = flat[starts[rows][:, None] + np.arange(width)]
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), width), problems


def _all_wrong(array: pa.Array, target: Target, rule: str) -> tuple[pa.Array, list[Problem]]:
    problems = [Problem(0, None, f"The value {rule}", error=ValueError)] if len(array) else []
    kind = ARROW[target.kind]
    filler = pa.array([PADDING[target.kind]] * len(array), kind)
    if target.shape == "list":
        filler = pa.array([[]] * len(array), pa.list_(kind))
    return filler, problems


def show(value: Any) -> str:
    """A value as a message shows it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…'"
