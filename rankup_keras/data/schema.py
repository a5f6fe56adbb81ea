"""What the columns of files are to become, and whether they can."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.features import FeatureSet
from rankup_keras.features.statistics import wide_target
from rankup_keras.features.target import Target, family
from rankup_keras.layers.towers import Task


def feature_targets(features: FeatureSet, schema: pa.Schema, text: bool) -> list[Target]:
    """The targets of all features, types of ids taken from the schema where a feature has none.

    Args:
        features: the feature set.
        schema: schema of the files.
        text: whether the files are text, in which every value is a string.
    """
    targets = []
    names, of_ids = set(schema.names), {field.name for field in features.fields()}
    for name, target in features.targets().items():
        kind, num_ids = target.kind, None
        if name in of_ids:
            owner = features.table_owner(name)
            # What an event's id does not name counts as unknown.
            num_ids = None if target.aligned else owner.num_ids
            if owner.dtype is None and not text:
                found = family(schema.field(owner.name).type) if owner.name in names else ""
                integers = found.removeprefix("list of ") in ("integer", "number")
                kind = "int64" if integers else "string"
        target = dataclasses.replace(target, kind=kind, num_ids=num_ids, strict=False)
        targets.append(wide_target(features[name], target) if name in features else target)
    return targets


def label_targets(tasks: Iterable[Task | str]) -> list[Target]:
    """The targets of the labels of tasks."""
    listed = [Task(task) if isinstance(task, str) else task for task in tasks]
    return [
        Target(
            t.name,
            t.label,
            "float32",
            role="label",
            nullable=t.missing_labels == "skip",
            rule=t.rule,
        )
        for t in listed
    ]


def rate_targets(tasks: Iterable[Task | str]) -> list[Target]:
    """The targets of the columns of rates that tasks name, each once."""
    rates = [task.keep_rate for task in tasks if isinstance(task, Task)]
    columns = dict.fromkeys(rate for rate in rates if isinstance(rate, str))
    return [Target(name, name, "float32", role="rate") for name in columns]


def check_schema(
    targets: Sequence[Target], schema: pa.Schema, file: str, split_lists: bool
) -> None:
    """Refuses columns that are missing or whose type cannot be read as the target's.

    Raises:
        DataError: names the column, the nearest one there is, and the types.
    """
    times = Counter(schema.names)
    for target in targets:
        check_column(target.column, times, file)
        try:
            target.check_type(schema.field(target.column).type, split_lists)
            if target.rule is not None:
                target.rule.check_type(schema.field(target.column).type)
        except (TypeError, ValueError) as error:
            raise DataError(f"The column {error}", file, column=target.column) from None


def check_column(name: str, times: Mapping[str, int], file: str) -> None:
    """Raises `DataError` unless a column is there once, given how often each name is."""
    if name not in times:
        raise missing_column(name, list(times), file)
    if times[name] > 1:
        raise DataError(
            f"The column is there {times[name]} times, as a join leaves it. Rename or drop the "
            "others.",
            file,
            column=name,
        )


def missing_column(name: str, names: Sequence[str], file: str | None) -> DataError:
    """The error of a column that is not there."""
    same = [other for other in names if other.strip().lower() == name.strip().lower()]
    close = same or get_close_matches(name, names, n=1, cutoff=0.75)
    nearest = f" The nearest is {close[0]!r}." if close else ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return DataError(f"There is no column {name!r}.{nearest} Columns: {shown}.", file)
