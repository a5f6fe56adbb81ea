"""What a column is to become, and whether its type can."""

import dataclasses
import math
import re
from typing import Any, Literal

import pyarrow as pa
import tensorflow as tf

Kind = Literal["string", "int64", "float32", "float64"]
Shape = Literal["single", "list", "vector"]
Role = Literal["feature", "label", "rate", "weight", "extra"]

ARROW = {
    "string": pa.binary(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
}

PADDING: dict[str, Any] = {"string": b"", "int64": -1, "float32": math.nan, "float64": math.nan}

LIST_VIEWS = (pa.types.is_list_view, pa.types.is_large_list_view)

# By bits of a float: from here on not every whole number has one of its own.
EXACT = {16: 2**11, 32: 2**24, 64: 2**53}

_WANTED = {"string": "strings", "int64": "64-bit integers"}

# By whether they are in memory, and whether text is wanted.
_READABLE = {
    (True, True): ("text",),
    (False, True): ("text", "integer"),
    (True, False): ("integer", "number"),
    (False, False): ("integer", "number", "text"),
}

REMEDY = {
    "string": "Write it as text, or declare dtype='int64' where its numbers are whole.",
    "int64": "Write whole numbers (of a time those since 1970 in its feature's unit), declare "
    "dtype='string' for text, or use a Numeric feature.",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """What a column is to become.

    Attributes:
        name: its name among the columns, the labels or the extra columns.
        column: its name in the file.
        kind: type of its values.
        shape: one value per row, a list of any length, or a vector of `dim`.
        role: what it is for.
        dim: width of a vector.
        num_ids: ids must lie below, where given.
        nullable: whether a label may be missing.
        strict: whether text and numbers are not read as each other, and no
            text marks a missing value, as for columns in memory.
        rule: what tells the positive values of a label, a `Positive`, or `None`.
        unit: for times, what whole numbers count since 1970: `"s"`, `"ms"`,
            `"us"` or `"ns"`.
        aligned: name of the events whose other lists are as long as this one.
    """

    name: str
    column: str
    kind: Kind
    shape: Shape = "single"
    role: Role = "feature"
    dim: int = 0
    num_ids: int | None = None
    strict: bool = False
    rule: Any = None
    nullable: bool = False
    unit: str | None = None
    aligned: str | None = None

    @classmethod
    def of_spec(cls, spec: tf.TensorSpec, num_ids: int | None = None) -> "Target":
        """The target of a column in memory, see `FeatureSet.raw_spec`."""
        dim = spec.shape[1] if spec.shape.rank == 2 else 0
        shape: Shape = "single" if spec.shape.rank == 1 else "vector" if dim else "list"
        return cls(
            spec.name, spec.name, spec.dtype.name, shape, dim=dim or 0, num_ids=num_ids, strict=True
        )

    def spec(self) -> tf.TensorSpec:
        """Shape and dtype of its column, batch dimension first."""
        shape = {"single": (None,), "list": (None, None), "vector": (None, self.dim)}[self.shape]
        return tf.TensorSpec(shape, self.kind, self.name)

    def check_type(self, kind: pa.DataType, split_text: bool = False) -> None:
        """Refuses types that cannot be read; with `split_text` single text may be a list.

        Raises:
            ValueError: lists come where single values are expected, or the other way round.
            TypeError: the values have another type.
        """
        found = family(kind)
        if self.unit is not None:
            found = re.sub(r"(timestamp|date\d\d)\[.*\]", "integer", found)
        depth, item = found.count("list of "), found.removeprefix("list of ")
        if item == "null":
            return
        if self.shape == "single" and depth:
            raise self.not_single(kind)
        if self.shape != "single" and depth != 1 and not (split_text and item == "text"):
            way = " Split it first, as `rows[name].str.split('|')` does." if item == "text" else ""
            raise ValueError(f"must have a list of values in every row. Received {kind}.{way}")
        iso = self.unit is not None and item == "text"
        if item not in _READABLE[self.strict, self.kind == "string"] and not iso:
            raise self.wrong_type(kind)

    def wrong_type(self, received: Any) -> TypeError:
        """The error of values of another type."""
        wanted = _WANTED.get(self.kind, "numbers")
        remedy = REMEDY.get(self.kind, "Write it as numbers.")
        if self.unit is not None:
            wanted = f"times: dates with times, or whole numbers in unit={self.unit!r}"
            remedy = "`pandas.to_datetime` reads most others."
        return TypeError(f"must hold {wanted}. Received {received}. {remedy}")

    def not_single(self, received: Any) -> ValueError:
        """The error of lists where single values are expected."""
        if self.shape != "single":
            return ValueError(
                f"must have one list per row, not lists of lists. Received {received}."
            )
        if self.kind in ("float32", "float64"):
            way = "A vector of a fixed length is a Pretrained feature"
        else:
            way = "For a multi-valued feature give `max_length`, for past actions use a History"
        return ValueError(f"must have one value per row, not a list. {way}. Received {received}.")


@dataclasses.dataclass(frozen=True)
class Problem:
    """A value that cannot be read: the row, the value, why, and the error that it is."""

    row: int
    value: Any
    reason: str
    error: type[Exception] = TypeError


def family(kind: pa.DataType) -> str:
    """`"text"`, `"integer"`, `"number"`, `"null"`, `"list of …"`, or the type's own name."""
    if pa.types.is_dictionary(kind):
        return family(kind.value_type)
    if pa.types.is_null(kind):
        return "null"
    whole = pa.types.is_decimal(kind) and kind.scale == 0
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or whole:
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    blobs = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    if any(test(kind) for test in (*texts, *blobs, pa.types.is_fixed_size_binary)):
        return "text"
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(test(kind) for test in (*lists, *LIST_VIEWS)):
        return f"list of {family(kind.value_type)}"
    return family(kind.storage_type) if is_vector(kind) else str(kind)


def is_vector(kind: pa.DataType) -> bool:
    """Whether it is the type of tensors of one dimension."""
    return isinstance(kind, pa.FixedShapeTensorType) and len(kind.shape) == 1


def missing_columns_error(missing: list[str], given: list[str]) -> ValueError:
    """The error of columns that features name and the data lack."""
    return ValueError(f"Columns are missing: {sorted(missing)}. Received columns: {sorted(given)}.")
