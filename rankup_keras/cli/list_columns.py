"""Lists in text, and lists of another column's values: histories."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.cli.sampling import Sample
from rankup_keras.cli.time_columns import unix_times
from rankup_keras.features.conversion import GROUPED
from rankup_keras.features.instants import instants_in_text, is_iso
from rankup_keras.features.target import family

if TYPE_CHECKING:
    from rankup_keras.cli.column_roles import Column

_SEPARATORS = ("|", ";", ",", " ")
# Blanks also stand between the words of a text: only codes are taken for a list.
_CODE = re.compile(r"[\w-]*\d+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.+Z-]*)?|\d{10}|\d{13}|\d{16}|\d{19}")
_WORD = re.compile(r"[^\W\d][\w-]*")
# Share of a list's values that are among the values of a column, if it is a history of it.
_SHARED = 0.5
# Values of an event's column that get a table of their own: kinds of actions, not items.
_KINDS = 50


def list_separator(sample: Sample, given: str | None = None) -> str | None:
    """What separates the values of lists in columns of text; `None` where no column has lists."""
    found = {mark: len(_listed(sample, mark)) for mark in ([given] if given else _SEPARATORS)}
    best = max(found, key=lambda mark: found[mark])
    return best if found[best] else None


def as_lists(sample: Sample, separator: str | None) -> pa.Table:
    """The rows with the columns of lists in text as lists."""
    table = sample.table
    for name in _listed(sample, separator) if separator else ():
        text = sample.array(name).cast(pa.binary()).cast(pa.string())
        lists = pc.split_pattern(text, separator)
        lists = pc.if_else(pc.equal(text, ""), pa.scalar([], lists.type), lists)
        table = table.set_column(table.schema.get_field_index(name), name, lists)
    return table


def _listed(sample: Sample, mark: str) -> list[str]:
    names = sample.table.schema.names
    return [n for n in names if names.count(n) == 1 and _is_list(sample.array(n), mark)]


def _is_list(array: pa.Array, mark: str) -> bool:
    """Whether values are made of a few parts, which stand in several values."""
    if family(array.type) != "text":
        return False
    known = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.to_pylist()]
    known = [value for value in known[:5000] if value]
    whole = set(known)
    several = [value for value in known if mark in value]
    if len(several) < 0.05 * len(known) or len(whole) < 3 or len(several) < 3:
        return False
    if any(value[0] in "[{(" for value in several[:100]):
        return False
    # 1,234 and 12,345: not all ids of three digits, but numbers in groups of them.
    grouped = all(any(re.match(form, v) for form in GROUPED.values()) for v in several)
    if grouped and any(len(v.split(mark)[0].strip("+- ")) < 3 for v in several):
        return False
    parts = [part for value in known for part in value.split(mark)]
    # Times such as 10;30 and coordinates have parts as well, but as many in every value.
    counts = {value.count(mark) for value in known}
    if mark != " " and len(counts) > 1 and all(_TIME.fullmatch(part) for part in parts if part):
        return True  # hardly one of them comes twice
    if mark != "|" and not all(_CODE.fullmatch(part) for part in parts if part):
        # Words without a blank are a list where few of them make many values, in many orders.
        words = mark != " " and all(_WORD.fullmatch(part) for part in parts)
        if not words or len(counts) < 2 or len(set(parts)) > 0.5 * len(whole):
            return False
    return len(set(parts)) <= max(0.8 * len(parts), 2) and (mark == "|" or len(counts) > 1)


def name_histories(columns: "list[Column]", sample: Sample) -> None:
    """Finds the lists whose values are those of a column of single values."""
    known: dict[str, Any] = {}
    for column in columns:
        if column.role == "categorical":
            known[column.name] = pc.unique(_text(sample.array(column.name)))
    for column in columns:
        if column.role != "list":
            continue
        values = _text(sample.array(column.name).flatten())
        shares = {
            name: float(np.mean(pc.is_in(values, own).to_numpy(zero_copy_only=False)))
            for name, own in known.items()
            if len(own) > 2
        }
        best = max(shares, key=lambda name: shares[name], default=None)
        if best is not None and shares[best] >= _SHARED:
            column.role, column.of = "history", best
            column.why = f"{shares[best]:.0%} of its values are among those of {best!r}"


def name_times(columns: "list[Column]", sample: Sample) -> None:
    """Leaves out lists of times in their order, which say when the events of another list were."""
    lists = {c.name: sample.array(c.name) for c in columns if c.role in ("list", "history")}
    for column in columns:
        found = _moments(column.name, lists[column.name]) if column.name in lists else None
        if found is None:
            continue
        values, what, unit = found
        lengths = _lengths(lists[column.name])
        steps = np.diff(values)
        within = np.ones(len(steps), bool)
        ends = np.cumsum(lengths)
        within[[end - 1 for end in ends if 0 < end <= len(steps)]] = False
        # NaN, a missing time, fits any order.
        orders = {"oldest_first": steps[within] < 0, "newest_first": steps[within] > 0}
        order = next((name for name, wrong in orders.items() if not wrong.any()), "unordered")
        if unit and order == "unordered":
            continue
        column.events = {"order": order, "aligned": _aligned(column.name, sample)}
        column.unit = unit
        column.role = "skip"
        aligned = [name for name in column.events["aligned"] if name in lists]
        column.why = f"its lists are {what}" + (
            f", of the events in {', '.join(map(repr, aligned))}" if aligned else ""
        )


def name_events(columns: "list[Column]", sample: Sample) -> None:
    """Makes events of aligned lists, where their times and the request's are known."""
    taken = {column.name for column in columns}
    named = {column.name: column for column in columns}
    for column in columns:
        requests = [
            other
            for other in columns
            if other.role == "time"
            and (other.why in ("timestamps", "dates as text") or other.unit)
            and (not column.unit or other.unit in ("", column.unit))
        ]
        if column.events is None or not requests:
            continue
        parts = [named[name] for name in column.events["aligned"]]
        ids: dict[str, Any] = {part.name: part.of for part in parts if part.role == "history"}
        for part in parts:
            values = _text(sample.array(part.name).flatten()).unique().drop_null().to_pylist()
            if part.role == "list" and len(values) <= _KINDS:
                text = part.dtype == "string"
                ids[part.name] = sorted(values) if text else sorted(map(int, values))
        if not ids:
            continue
        numbers = {
            part.name: "standard"
            for part in parts
            if part.role in ("vector", "skip") and _numbers(sample.array(part.name).type)
        }
        name = next(n for n in ("events", *(f"events_{i}" for i in range(99))) if n not in taken)
        taken.add(name)
        # The first column of time that fits, as for a split.
        request = requests[0]
        request.unit, request.of = request.unit or column.unit, name
        column.role, column.of = "events", request.name
        column.events.update(name=name, ids=ids, numbers=numbers)
        for own in [*ids, *numbers]:
            named[own].role, named[own].why = "part", f"it is one of the columns of {name!r}"


def _moments(name: str, array: pa.Array) -> tuple[np.ndarray, str, str] | None:
    """Times of lists in a row, what they are, and the unit of whole numbers."""
    flat = array.flatten()
    if family(flat.type) == "text":
        text = pc.utf8_trim_whitespace(_text(flat))
        text = pc.if_else(pc.equal(text, ""), None, text)
        if text.null_count < len(text) and pc.all(is_iso(text)).as_py():
            try:
                flat = instants_in_text(text)
            except pa.ArrowInvalid:
                return None
    if pa.types.is_timestamp(flat.type):
        instants = flat.cast(pa.timestamp("us", flat.type.tz), safe=False).cast(pa.int64())
        return instants.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), "times", ""
    try:
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    times = unix_times(name.lower(), values)
    # Without a unit they have fractions, which are not read.
    return (values, times.what, times.unit) if times is not None and times.unit else None


def _lengths(array: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False))


def _aligned(name: str, sample: Sample) -> list[str]:
    """The other columns whose lists are as long in every row."""
    counts = _lengths(sample.array(name))
    others = {n: sample.array(n) for n in sample.table.schema.names if n != name}
    return [
        other
        for other, array in others.items()
        if family(array.type).startswith("list of ") and np.array_equal(_lengths(array), counts)
    ]


def _numbers(kind: pa.DataType) -> bool:
    return family(kind) == "list of number"


def _text(array: pa.Array) -> pa.Array:
    return (
        array.cast(pa.binary()).cast(pa.string())
        if family(array.type) == "text"
        else (array.cast(pa.string()))
    )
