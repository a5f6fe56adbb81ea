"""Dates with times, and text of them, as whole numbers."""

import datetime as dt
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DAY = r"^\d{4}-\d\d-\d\d"
_ZONED = r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
# Ticks in a second.
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Seconds since 1970: from 1980 to 2200, and from 2000 to 2100.
POSSIBLE, LIKELY = (315_532_800, 7_258_118_400), (946_684_800, 4_102_444_800)

# Values that a unit is judged by.
LOOKED_AT = 10_000


def is_iso(text: pa.Array) -> pa.Array:
    """Whether text begins as a date of ISO 8601 does."""
    return pc.match_substring_regex(text, _DAY)


def instants_in_text(text: pa.Array, unit: str = "us") -> pa.Array:
    """Text of ISO 8601 as instants, those without a zone in UTC.

    Args:
        text: such as `"2026-09-01T00:02:54Z"`, `"2026-09-01 02:02:54+02:00"` or `"2026-09-01"`.
        unit: of the result; what is smaller is cut off.

    Raises:
        pyarrow.ArrowInvalid: a value is no date with a time.
    """
    if unit != "ns":  # all other units are made of microseconds
        text = pc.replace_substring_regex(text, r"(:\d\d\.\d{6})\d+", r"\1")
    text = pc.replace_substring_regex(text, f"({_DAY})$", r"\1T00:00:00")
    naive = pc.and_not(is_iso(text), pc.match_substring_regex(text, _ZONED))
    text = pc.if_else(naive, pc.binary_join_element_wise(text, "Z", ""), text)
    instants = text.cast(pa.timestamp("ns" if unit == "ns" else "us", "UTC"))
    return instants.cast(pa.timestamp(unit, "UTC"), safe=False)


def since_1970(array: pa.Array, unit: str) -> pa.Array:
    """Dates with times, or lists of them, as whole numbers; others as they are.

    Args:
        array: of instants, those without a zone in UTC.
        unit: `"s"`, `"ms"`, `"us"` or `"ns"`; what is smaller is cut off.
    """
    listed = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(test(array.type) for test in listed) and _is_instant(array.type.value_type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        return pa.LargeListArray.from_arrays(offsets, since_1970(array.flatten(), unit))
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    if not _is_instant(array.type):
        return array
    ticks = array.cast(pa.int64())
    finer = UNITS[unit] // UNITS[array.type.unit]
    if finer <= 1:
        return array.cast(pa.timestamp(unit, array.type.tz), safe=False).cast(pa.int64())
    # What 64 bits have no room for, such as the year 9999 in nanoseconds, is no possible time.
    room = np.iinfo(np.int64).max // finer
    inside = pc.and_(pc.less_equal(ticks, room), pc.greater_equal(ticks, -room))
    scaled = pc.multiply(pc.if_else(inside, ticks, 0), finer)
    return pc.if_else(inside, scaled, np.iinfo(np.int64).max)


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def dates_as_times(values: Iterable[Any]) -> tuple[list[Any], Any]:
    """Python's dates as their midnights, and a number that stands among dates, or `None`.

    Pyarrow would make dates of the times beside them, and microseconds of the numbers.
    """
    values = list(values)
    if not any(issubclass(kind, dt.date) for kind in {type(value) for value in values}):
        return values, None
    known = [v for v in values if isinstance(v, dt.date | numbers.Number) and v == v]
    odd = [v for v in known if isinstance(v, numbers.Number)]
    times = [dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in values]
    return times, odd[0] if 0 < len(odd) < len(known) else None


def check_unit(name: str, columns: Iterable[pa.Array], unit: str) -> bool:
    """Refuses integers that cannot be times in the declared unit, but can be in another one.

    Args:
        name: the column.
        columns: its values, or lists of them, with -1 for what is missing.
        unit: `"s"`, `"ms"`, `"us"` or `"ns"`.

    Returns:
        Whether there was any value to tell by.

    Raises:
        ValueError: the median is such a value, or all are dates such as 20260901.
    """
    flat = [a if pa.types.is_integer(a.type) else a.flatten() for a in columns]
    values = np.concatenate([np.asarray(array) for array in flat] or [np.zeros(0)])
    known = values[values > 0][:LOOKED_AT]
    if not len(known):
        return False
    middle = int(np.sort(known)[len(known) // 2])
    if _are_calendar_dates(known if middle < 10**8 else known // 10**6):
        raise ValueError(
            f"Column {name!r} has values such as {middle}, which are dates written as numbers, "
            f"not {unit!r} since 1970. Give them as dates: `pandas.to_datetime(..., format=...)`."
        )
    seconds = {other: middle / ticks for other, ticks in UNITS.items()}
    likely = [other for other, at in seconds.items() if LIKELY[0] <= at <= LIKELY[1]]
    if likely and not POSSIBLE[0] <= seconds[unit] <= POSSIBLE[1]:
        raise ValueError(
            f"Column {name!r} has values such as {middle}, which cannot be times in "
            f"unit={unit!r}. Give unit={likely[0]!r}."
        )
    return True


def _are_calendar_dates(numbers: np.ndarray) -> bool:
    """Whether all are of the form YYYYMMDD."""
    year, month, day = numbers // 10_000, numbers // 100 % 100, numbers % 100
    fits = (year >= 1980) & (year < 2200) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(fits.all())
