"""Raw columns as users hold them → tensors of the types that the features declare."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

_PADDING: dict[tf.DType, Any] = {tf.string: "", tf.int64: -1, tf.float32: np.nan}


def as_mapping(data: Any) -> Mapping[str, Any]:
    """A dict of columns from a dict, a pandas frame or a pyarrow table."""
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "column_names") and hasattr(data, "column"):
        return {name: data.column(name).to_pylist() for name in data.column_names}
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return {str(name): data[name].to_numpy() for name in data.columns}
    raise TypeError(
        "Raw rows must be a dict of columns, a pandas DataFrame, a pyarrow Table or a "
        f"tf.data.Dataset of dicts. Received: {type(data).__name__}."
    )


def missing_columns_error(missing: list[str], given: list[str]) -> ValueError:
    return ValueError(
        f"Columns are missing: {sorted(missing)}. Received columns: {sorted(given)}."
    )


def convert_columns(data: Any, spec: dict[str, tf.TensorSpec]) -> dict[str, Any]:
    """Converts the columns that `spec` names, checks their types and equal lengths.

    Args:
        data: dict of columns (arrays, lists, tensors, ragged tensors), pandas
            frame or pyarrow table. Columns that `spec` does not name are left out.
        spec: name → `tf.TensorSpec`, see `FeatureSet.raw_spec`.

    Returns:
        dict name → NumPy array (object arrays for strings) or tensor.

    Raises:
        ValueError: a column is missing, or has another length than the rest.
        TypeError: a column has another type than its feature declares.
    """
    columns = as_mapping(data)
    missing = [name for name in spec if name not in columns]
    if missing:
        raise missing_columns_error(missing, [str(name) for name in columns])
    result = {name: convert_column(columns[name], item) for name, item in spec.items()}
    lengths = {name: int(value.shape[0]) for name, value in result.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Columns must have one length. Received lengths: {lengths}.")
    return result


def convert_column(value: Any, spec: tf.TensorSpec) -> Any:
    """One column as an array of the dtype and rank that `spec` declares."""
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor(default_value=tf.constant(_PADDING[spec.dtype], value.dtype))
    if isinstance(value, tf.Tensor):
        value = value.numpy()
    array = value if isinstance(value, np.ndarray) else _from_list(value, spec)
    if array.dtype == object and spec.shape.rank == 2 and array.ndim == 1:
        array = _pad([() if item is None else item for item in array], spec)
    array = _cast(array, spec)
    return _check_shape(array, spec)


def _from_list(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    if hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy())
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise TypeError(
            f"Column {spec.name!r} must be an array or a list with one entry a row. "
            f"Received: {type(value).__name__}."
        )
    if spec.shape.rank == 2 and spec.shape[1] is None:
        return _pad([() if item is None else item for item in value], spec)
    if any(isinstance(item, str | bytes) or item is None for item in value):
        return np.array(value, dtype=object)
    return np.asarray(value)


def _pad(rows: list[Any], spec: tf.TensorSpec) -> np.ndarray:
    for row in rows:
        if isinstance(row, str | bytes) or not hasattr(row, "__len__"):
            raise TypeError(
                f"Column {spec.name!r} is multi-valued: every row must be a list of values. "
                f"Received a row of type {type(row).__name__}: {row!r}."
            )
    width = max((len(row) for row in rows), default=0)
    flat = np.asarray([item for row in rows for item in row] or [_PADDING[spec.dtype]])
    dtype = object if spec.dtype == tf.string else flat.dtype
    padded = np.full((len(rows), width), _PADDING[spec.dtype], dtype=dtype)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded


def _cast(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    wanted = spec.dtype
    if wanted == tf.string:
        return _as_strings(array, spec)
    if wanted == tf.int64:
        return _as_ints(array, spec)
    try:
        if array.dtype.kind in "fiub" or array.dtype == object:
            return array.astype(np.float32)
    except (TypeError, ValueError):
        pass
    raise _wrong_type(array, spec, "numbers", f"convert it with `.astype('float32')`")


def _as_strings(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype == object:
        kinds = np.array([isinstance(item, str | bytes) for item in array.ravel()])
        if kinds.all():
            return array
        flat = array.ravel().copy()
        for index in np.flatnonzero(~kinds):
            item = flat[index]
            # None and NaN are how pandas and Python mark a missing string.
            if item is not None and item == item:
                raise _wrong_type(array, spec, "strings", "convert it with `.astype(str)`", item)
            flat[index] = ""
        return flat.reshape(array.shape)
    raise _wrong_type(
        array, spec, "strings", "convert it with `.astype(str)` or declare dtype='int64'"
    )


def _as_ints(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    numbers = array
    if array.dtype == object:
        try:
            numbers = array.astype(np.float64)
        except (TypeError, ValueError):
            raise _wrong_type(array, spec, "integers", "declare dtype='string'") from None
    if numbers.dtype.kind == "f":
        known = ~np.isnan(numbers)
        if np.array_equal(numbers[known], np.floor(numbers[known])):
            result = np.full(numbers.shape, -1, dtype=np.int64)
            result[known] = array[known].astype(np.int64)
            return result
        raise _wrong_type(array, spec, "integers", "use a Numeric feature for fractions")
    raise _wrong_type(array, spec, "integers", "declare dtype='string'")


def _check_shape(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if spec.shape.rank == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(
            f"Column {spec.name!r} must have shape {_shape(spec.shape)}. "
            f"Received shape {array.shape}."
        )
    return array


def check_dataset_spec(element: Mapping[str, Any], spec: dict[str, tf.TensorSpec]) -> None:
    """Checks the columns of a `tf.data` element before anything runs."""
    missing = [name for name in spec if name not in element]
    if missing:
        raise missing_columns_error(missing, [str(name) for name in element])
    for name, wanted in spec.items():
        found = element[name]
        shape = found.shape
        if shape.rank is not None and shape.rank == wanted.shape.rank - 1:
            raise ValueError(
                f"Column {name!r} has shape {_shape(shape)}, without a batch dimension. "
                "Batch the dataset first: `dataset.batch(1024)`."
            )
        squeezable = wanted.shape.rank == 1 and shape.rank == 2 and shape[1] in (1, None)
        if not squeezable and not wanted.shape.is_compatible_with(shape):
            raise ValueError(
                f"Column {name!r} must have shape {_shape(wanted.shape)}. "
                f"Received shape {_shape(shape)}."
            )
        if not _castable(found.dtype, wanted.dtype):
            raise TypeError(
                f"Column {name!r} must have dtype {wanted.dtype.name}. "
                f"Received dtype {found.dtype.name}."
            )


def cast_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """A tensor of a `tf.data` element or a request, in the dtype and rank of `spec`."""
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor(default_value=tf.constant(_PADDING[spec.dtype], value.dtype))
    value = tf.convert_to_tensor(value)
    if value.dtype != spec.dtype:
        value = tf.cast(value, spec.dtype)
    if spec.shape.rank == 1 and value.shape.rank == 2:
        value = tf.ensure_shape(value, (None, 1))[:, 0]
    return tf.ensure_shape(value, spec.shape)


def _castable(found: tf.DType, wanted: tf.DType) -> bool:
    if found == wanted:
        return True
    if wanted == tf.int64:
        return found.is_integer
    return wanted == tf.float32 and (found.is_floating or found.is_integer or found.is_bool)


def _wrong_type(
    array: np.ndarray, spec: tf.TensorSpec, wanted: str, remedy: str, item: Any = None
) -> TypeError:
    received = f"dtype {array.dtype}" if item is None else f"{type(item).__name__} ({item!r})"
    return TypeError(f"Column {spec.name!r} must hold {wanted}. Received {received}: {remedy}.")


def _shape(shape: Any) -> str:
    return str(tuple(shape)).replace("None", "any")
