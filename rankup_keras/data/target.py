"""What a column of a file is to become."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.features import Categorical, FeatureSet, History, Numeric, Pretrained
from rankup_keras.layers.towers import Task

Kind = Literal["string", "int64", "float32"]
Shape = Literal["single", "list", "vector"]
Role = Literal["feature", "label", "weight", "extra"]


@dataclasses.dataclass(frozen=True)
class Target:
    """One column to read.

    Attributes:
        name: its name among the columns, the labels or the extra columns.
        column: its name in the file.
        kind: type of its values.
        shape: one value a row, a list of any length, or a vector of `dim`.
        role: what it is for.
        dim: width of a vector.
        num_ids: ids must lie below, where given.
    """

    name: str
    column: str
    kind: Kind
    shape: Shape = "single"
    role: Role = "feature"
    dim: int = 0
    num_ids: int | None = None


def family(kind: pa.DataType) -> str:
    """`"text"`, `"integer"`, `"number"`, `"null"`, `"list of …"`, or the type's own name."""
    if pa.types.is_dictionary(kind):
        return family(kind.value_type)
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    blobs = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    if any(test(kind) for test in (*texts, *blobs)):
        return "text"
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(test(kind) for test in lists):
        return f"list of {family(kind.value_type)}"
    return str(kind)


def feature_targets(features: FeatureSet, schema: pa.Schema, text: bool) -> list[Target]:
    """The targets of all features, types of ids taken from the schema where a feature has none.

    Args:
        features: the feature set.
        schema: schema of the files.
        text: whether the files are text, in which every value is a string.
    """
    targets = []
    dtypes: dict[str, Kind] = {}
    for feature in features.of_type(Categorical):
        dtype = feature.dtype
        if dtype is None:
            if text or feature.name not in schema.names:
                dtype = "string"
            else:
                found = family(schema.field(feature.name).type).removeprefix("list of ")
                dtype = "int64" if found in ("integer", "number") else "string"
        dtypes[feature.name] = dtype
    for feature in features.features:
        name = feature.name
        if isinstance(feature, Categorical):
            shape: Shape = "single" if feature.max_length is None else "list"
            target = Target(name, name, dtypes[name], shape, num_ids=feature.num_ids)
        elif isinstance(feature, History):
            owner = features[feature.of]
            num_ids = owner.num_ids if isinstance(owner, Categorical) else None
            target = Target(name, name, dtypes[feature.of], "list", num_ids=num_ids)
        elif isinstance(feature, Numeric):
            target = Target(name, name, "float32")
        elif isinstance(feature, Pretrained):
            target = Target(name, name, "float32", "vector", dim=int(feature.dim or 0))
        else:
            raise TypeError(f"A feature of type {type(feature).__name__} has no form in a file.")
        targets.append(target)
    return targets


def label_targets(tasks: Iterable[Task | str]) -> list[Target]:
    """The targets of the labels of tasks."""
    listed = [Task(task) if isinstance(task, str) else task for task in tasks]
    return [Target(task.name, task.label, "float32", role="label") for task in listed]


def check_schema(
    targets: Sequence[Target], schema: pa.Schema, file: str, text: bool, split_lists: bool
) -> None:
    """Refuses columns that are missing or whose type cannot be read as the target's.

    Raises:
        DataError: names the column, the nearest one there is, and the types.
    """
    for target in targets:
        if target.column not in schema.names:
            raise missing_column(target.column, schema.names, file)
        found = family(schema.field(target.column).type)
        item = found.removeprefix("list of ")
        listed = found.startswith("list of ")
        if item == "null":
            continue
        if target.shape == "single" and listed and not text:
            raise DataError(
                f"The column holds lists ({found}), and one value a row is expected. For a "
                "multi-valued feature give `max_length`, for a history use a sequence.",
                file,
                column=target.column,
            )
        if target.shape != "single" and not listed and not (split_lists and item == "text"):
            raise DataError(
                f"The column holds one value a row ({found}), and lists are expected. For text "
                "give `list_separator`.",
                file,
                column=target.column,
            )
        if item not in _READABLE[target.kind]:
            raise DataError(
                f"The column is of type {schema.field(target.column).type}, which cannot be read "
                f"as {target.kind}. {_REMEDY[target.kind]}",
                file,
                column=target.column,
            )


_READABLE: dict[str, tuple[str, ...]] = {
    "string": ("text", "integer"),
    "int64": ("integer", "number", "text"),
    "float32": ("integer", "number", "text"),
}
_REMEDY = {
    "string": "Declare dtype 'int64' where its numbers are whole, or write it as text.",
    "int64": "Write it as whole numbers, or declare dtype 'string' and write it as text.",
    "float32": "Write it as numbers.",
}


def missing_column(name: str, names: Sequence[str], file: str | None) -> DataError:
    """The error of a column that is not there."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    nearest = f" The nearest is {close[0]!r}." if close else ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return DataError(f"There is no column {name!r}.{nearest} Columns: {shown}.", file)
