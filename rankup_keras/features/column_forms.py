"""Columns of many libraries → NumPy arrays, pyarrow's, and lists."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rankup_keras.features.target import Target
from rankup_keras.features.tensors import check_castable, dense_tensor

Plain = np.ndarray | pa.Array | pa.ChunkedArray | list | tuple


def plain_column(value: Any, target: Target) -> Any:
    """A column as an array or a list of rows, which can be sliced.

    Args:
        value: an array, list or series of any library, or a dense, ragged or sparse tensor.
        target: what it is to become.

    Raises:
        TypeError: it is no column, or a tensor of another type.
        ValueError: it has other than one or two dimensions.
    """
    if tf.is_tensor(value):
        spec = tf.TensorSpec(None, target.kind, target.name)
        check_castable(value.dtype, spec)
        plain = isinstance(value, tf.Tensor) and value.dtype != tf.bfloat16
        value = (value if plain else dense_tensor(value, spec)).numpy()
    if hasattr(value, "iloc") and not isinstance(getattr(value, "dtype", np.dtype("O")), np.dtype):
        try:
            value = pa.array(value)  # a series of one of pandas's own types
        except (UnicodeEncodeError, OverflowError, pa.ArrowException):
            value = value.to_numpy()
    elif not isinstance(value, Plain):
        value = _array_of(value)
    if isinstance(value, str | bytes | Mapping | Set) or not hasattr(value, "__len__"):
        raise TypeError(
            f"Column {target.name!r} must be an array or a list with one entry per row. "
            f"Received: {type(value).__name__}."
        )
    if isinstance(value, np.ndarray):
        if value.ndim not in (1, 2):
            raise ValueError(
                f"Column {target.name!r} must have one or two dimensions. Received shape "
                f"{value.shape}."
            )
        return _of_known_type(value)
    return value if isinstance(value, Plain) else list(value)


def _array_of(value: Any) -> Any:
    frame = getattr(value, "columns", None) is not None or hasattr(value, "iloc")
    if hasattr(value, "__arrow_c_stream__") and not frame:
        return pa.chunked_array(value)  # a series of polars, whose missing values it keeps
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return np.asarray(value) if hasattr(value, "__array__") else value  # as of torch and JAX


def _of_known_type(array: np.ndarray) -> np.ndarray:
    """Numbers of a type that another library adds, as bfloat16, in one that pyarrow knows."""
    if array.dtype.isbuiltin != 2:
        return array
    wide = next((kind for kind in (np.int64, np.float32) if np.can_cast(array.dtype, kind)), None)
    return array if wide is None else array.astype(wide)
