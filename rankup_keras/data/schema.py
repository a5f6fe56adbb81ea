"""What the columns of files are to become, and whether they can."""

import dataclasses
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.features import FeatureSet
from rankup_keras.features.conversion import Target, family
from rankup_keras.layers.towers import Task


def feature_targets(features: FeatureSet, schema: pa.Schema, text: bool) -> list[Target]:
    """The targets of all features, types of ids taken from the schema where a feature has none.

    Args:
        features: the feature set.
        schema: schema of the files.
        text: whether the files are text, in which every value is a string.
    """
    targets = []
    of_ids = {field.name for field in features.fields()}
    for name, target in features.targets().items():
        kind, num_ids = target.kind, None
        if name in of_ids:
            owner = features.table_owner(name)
            # What an event's id does not name counts as unknown.
            num_ids = None if target.aligned else owner.num_ids
            if owner.dtype is None and not text:
                found = family(schema.field(owner.name).type) if owner.name in schema.names else ""
                integers = found.removeprefix("list of ") in ("integer", "number")
                kind = "int64" if integers else "string"
        targets.append(dataclasses.replace(target, kind=kind, num_ids=num_ids, strict=False))
    return targets


def label_targets(tasks: Iterable[Task | str]) -> list[Target]:
    """The targets of the labels of tasks."""
    listed = [Task(task) if isinstance(task, str) else task for task in tasks]
    return [Target(task.name, task.label, "float32", role="label") for task in listed]


def check_schema(
    targets: Sequence[Target], schema: pa.Schema, file: str, split_lists: bool
) -> None:
    """Refuses columns that are missing or whose type cannot be read as the target's.

    Raises:
        DataError: names the column, the nearest one there is, and the types.
    """
    for target in targets:
        if target.column not in schema.names:
            raise missing_column(target.column, schema.names, file)
        try:
            target.check_type(schema.field(target.column).type, split_lists)
        except (TypeError, ValueError) as error:
            raise DataError(f"The column {error}", file, column=target.column) from None


def missing_column(name: str, names: Sequence[str], file: str | None) -> DataError:
    """The error of a column that is not there."""
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    nearest = f" The nearest is {close[0]!r}." if close else ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return DataError(f"There is no column {name!r}.{nearest} Columns: {shown}.", file)
