"""Names for the tensors of columns, whatever the columns are called."""

import keyword
import re
from collections.abc import Iterable, Mapping

import tensorflow as tf

# What TensorFlow takes for a function's argument; `self` would be its own.
_TAKEN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED = ("self", "args", "kwargs")


def tensor_names(columns: Iterable[str]) -> dict[str, str]:
    """Column → name of its tensor: its own where TensorFlow takes it, else `column_<number>`.

    A signature does not tell upper from lower case: of `Show` and `show` the first keeps its name.
    """
    listed = list(columns)
    lower = {column.lower() for column in listed}
    names: dict[str, str] = {}
    used: set[str] = set()
    for number, column in enumerate(listed):
        name, taken = column, not _TAKEN.fullmatch(column) or column.lower() in used
        if taken or keyword.iskeyword(name) or name in _RESERVED:
            name = f"column_{number}"
            while name in lower:
                name += "_"
        names[column] = name
        used.add(name.lower())
    return names


def named(spec: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    """Specs by column whose tensors have names that TensorFlow takes."""
    names = tensor_names(spec)
    return {
        column: tf.TensorSpec(item.shape, item.dtype, name=names[column])
        for column, item in spec.items()
    }
