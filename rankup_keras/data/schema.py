"""What the columns of files are to become, and whether they can."""

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.features import FeatureSet
from rankup_keras.features.statistics import wide_target
from rankup_keras.features.target import Target, family
from rankup_keras.layers.towers import Task

# Types of columns in which a file has no value.
EMPTY = {"null", "list of null"}


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
    tasks = [tasks] if isinstance(tasks, str | Task) else tasks
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
    tasks = [tasks] if isinstance(tasks, Task) else tasks
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
    folder = next((part for part in Path(file or "").parts if part.startswith(f"{name}=")), None)
    told = f" Folder names such as {folder!r} are not read: write it as a column." if folder else ""
    return DataError(f"There is no column {name!r}.{nearest}{told} Columns: {shown}.", file)


def common_schema(
    schemas: dict[Any, pa.Schema], wanted: Collection[str], times: Collection[str]
) -> pa.Schema:
    """One schema for all files.

    Args:
        schemas: of each file.
        wanted: columns that are read.
        times: columns of times, whose units and zones may differ.

    Raises:
        DataError: a column is text in one file and numbers in another.
    """
    first: dict[str, tuple[Any, pa.Field]] = {}
    for path, schema in schemas.items():
        for field in map(_decoded, schema):
            if schema.names.count(field.name) > 1:
                continue  # `check_column` refuses it where it is wanted
            if field.name not in first or family(first[field.name][1].type) in EMPTY:
                first[field.name] = (path, field)
                continue
            where, known = first[field.name]
            kinds = {family(known.type), family(field.type)} - EMPTY
            if field.name in times:
                kinds = {re.sub(r"(timestamp|date\d\d)\[.*\]", "times", kind) for kind in kinds}
            if field.name not in wanted:
                continue
            if len(kinds) > 1 and kinds != {"integer", "number"}:
                raise DataError(
                    f"The column is of type {field.type} here and of type {known.type} in {where}. "
                    "A column must have the same type in all files.",
                    path,
                    column=field.name,
                )
            with contextlib.suppress(pa.ArrowException):
                both = [pa.schema([known]), pa.schema([field])]
                wide = pa.unify_schemas(both, promote_options="permissive").field(0)
                first[field.name] = (where, wide)
    return pa.schema([field for _, field in first.values()])


def _decoded(field: pa.Field) -> pa.Field:
    dictionary = pa.types.is_dictionary(field.type)
    return field.with_type(field.type.value_type) if dictionary else field
