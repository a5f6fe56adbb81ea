"""Lists in text, and lists of another column's values: histories."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.cli.sampling import Sample
from rankup_keras.cli.time_columns import unix_times
from rankup_keras.features.target import family

if TYPE_CHECKING:
    from rankup_keras.cli.column_roles import Column

_SEPARATORS = ("|", ";", ",", " ")
# Blanks also stand between the words of a text: only codes are taken for a list.
_CODE = re.compile(r"[\w-]*\d+")
# Share of a list's values that are among the values of a column, if it is a history of it.
_SHARED = 0.5


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
    parts = [part for value in known for part in value.split(mark)]
    if mark != "|" and not all(_CODE.fullmatch(part) for part in parts if part):
        return False
    # Times such as 10;30 and coordinates have parts as well, but as many in every value.
    counts = {value.count(mark) for value in known}
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
        if column.name not in lists:
            continue
        array = lists[column.name]
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        try:
            values = array.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        steps = np.diff(values)
        within = np.ones(len(steps), bool)
        ends = np.cumsum(lengths)
        within[[end - 1 for end in ends if 0 < end <= len(steps)]] = False
        ordered = np.all(steps[within] >= 0) or np.all(steps[within] <= 0)
        times = unix_times(column.name.lower(), values)
        if times is None or not ordered:
            continue
        counts = pc.list_value_length(array)
        same = [name for name, other in lists.items() if pc.list_value_length(other).equals(counts)]
        aligned = [name for name in same if name != column.name]
        column.role = "skip"
        column.why = f"its lists are {times.what}" + (
            f", of the events in {', '.join(map(repr, aligned))}" if aligned else ""
        )


def _text(array: pa.Array) -> pa.Array:
    return (
        array.cast(pa.binary()).cast(pa.string())
        if family(array.type) == "text"
        else (array.cast(pa.string()))
    )
