"""Raw columns as users hold them → tensors of the types that the features declare."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

_PADDING: dict[tf.DType, Any] = {tf.string: "", tf.int64: -1, tf.float32: np.nan}


def as_mapping(data: Any) -> Mapping[str, Any]:
    """A dict of columns from a dict, a pandas frame or a pyarrow table."""
    if isinstance(data, Mapping):
        return data
    if isinstance(data, pa.Table | pa.RecordBatch):
        return {name: data.column(name) for name in data.column_names}
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return {str(name): data[name] for name in data.columns}
    raise TypeError(
        "Raw rows must be a dict of columns, a pandas DataFrame, a pyarrow Table or a "
        f"tf.data.Dataset of dicts. Received: {type(data).__name__}."
    )


def missing_columns_error(missing: list[str], given: list[str]) -> ValueError:
    """The error of columns that features name and the data lack."""
    return ValueError(f"Columns are missing: {sorted(missing)}. Received columns: {sorted(given)}.")


def convert_columns(data: Any, spec: dict[str, tf.TensorSpec]) -> dict[str, Any]:
    """Converts the columns that `spec` names, checks their types and equal lengths.

    Args:
        data: dict of columns (arrays, lists, tensors, ragged or sparse
            tensors), pandas frame or pyarrow table. Columns that `spec` does
            not name are left out.
        spec: name → `tf.TensorSpec`, see `FeatureSet.raw_spec`.

    Returns:
        dict name → NumPy array (object arrays for strings).

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


def convert_column(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    """One column as an array of the dtype and rank that `spec` declares."""
    if tf.is_tensor(value):
        value = dense_tensor(value, spec).numpy()
    array = value if isinstance(value, np.ndarray) else _from_list(_plain(value), spec)
    if array.dtype == object and spec.shape.rank == 2 and array.ndim == 1:
        array = _pad(list(array), spec)
    return _check_shape(_cast(array, spec), spec)


def holds_integers(value: Any) -> bool:
    """Whether a column holds integers, looked up without reading it through."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        item = value.type
        while pa.types.is_list(item) or pa.types.is_large_list(item):
            item = item.value_type
        return bool(pa.types.is_integer(item))
    if tf.is_tensor(value):
        return bool(value.dtype.is_integer)
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind != "O":
        return kind in "iu"
    for row in value:
        for item in row if isinstance(row, list | tuple | np.ndarray) else (row,):
            if not is_missing(item) and item != "":
                return isinstance(item, int | np.integer) and not isinstance(item, bool)
    return False


def is_missing(item: Any) -> bool:
    """Whether a value is one of Python's and pandas's marks of a missing one."""
    if item is None:
        return True
    if isinstance(item, str | bytes) or hasattr(item, "__len__"):
        return False
    try:
        return bool(item != item)
    except TypeError:  # `pandas.NA` has no truth value
        return True


def _plain(value: Any) -> Any:
    """Columns of pandas and pyarrow as arrays or lists, missing values as `None` or NaN."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        if value.null_count or not pa.types.is_primitive(value.type):
            return value.to_pylist()
        return value.to_numpy()
    if not hasattr(value, "to_numpy"):
        return value
    if isinstance(getattr(value, "dtype", None), np.dtype) or not hasattr(value, "iloc"):
        return value.to_numpy()
    return value.to_numpy(dtype=object, na_value=None)


def _from_list(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise TypeError(
            f"Column {spec.name!r} must be an array or a list with one entry a row. "
            f"Received: {type(value).__name__}."
        )
    if spec.shape.rank == 2 and (spec.shape[1] is None or not len(value)):
        return _pad(list(value), spec)
    if not len(value):
        return np.empty((0,), object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    try:
        if any(isinstance(item, str | bytes) or item is None for item in value):
            return np.array(value, dtype=object)
        array = np.asarray(value)
        # A NaN among ids makes NumPy choose floats, which have no room for every 64-bit id.
        lossy = array.dtype.kind == "f" and spec.dtype == tf.int64
        return np.array(value, dtype=object) if lossy else array
    except ValueError:
        if spec.shape.rank == 2:
            return _pad(list(value), spec)
        raise _wrong_rows(spec, "one value", value) from None


def _pad(rows: list[Any], spec: tf.TensorSpec) -> np.ndarray:
    fixed = spec.shape[1]
    rows = [() if is_missing(row) else row for row in rows]
    for row in rows:
        if isinstance(row, str | bytes) or not hasattr(row, "__len__"):
            raise TypeError(
                f"Column {spec.name!r} is multi-valued: every row must be a list of values. "
                f"Received a row of type {type(row).__name__}: {row!r}."
            )
        if fixed is not None and len(row) not in (0, fixed):
            raise _wrong_rows(spec, f"a vector of {fixed} numbers", [row])
    width = fixed if fixed is not None else max((len(row) for row in rows), default=0)
    values = [item for row in rows for item in row]
    kind = "O"
    if spec.dtype != tf.string and values:
        try:
            kind = np.asarray(values).dtype.kind
        except ValueError:
            raise _wrong_rows(spec, "a list of numbers", values) from None
    # Unsigned and mixed values stay objects: no common type has room for them and the padding.
    dtype = {"i": np.int64, "b": np.int64, "f": np.float64}.get(kind, object)
    if spec.dtype == tf.float32 and kind in "iub":
        dtype = np.float64
    elif spec.dtype == tf.int64 and kind == "f":
        dtype = object
    padded = np.full((len(rows), width), None if dtype is object else _PADDING[spec.dtype], dtype)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded


def _cast(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if spec.dtype == tf.string:
        return _as_strings(array, spec)
    if spec.dtype == tf.int64:
        return _as_ints(array, spec)
    if array.dtype == object:
        array = _numbers(array, spec, "numbers").astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise _wrong_type(array, spec, "numbers", "convert it with `.astype('float32')`")
    with np.errstate(over="ignore"):  # beyond float32 lies infinity, which counts as missing
        return array.astype(np.float32)


def _as_strings(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype == object:
        flat = array.ravel()
        others = [i for i, item in enumerate(flat) if not isinstance(item, str | bytes)]
        if others:
            flat = flat.copy()
        for index in others:
            if not is_missing(flat[index]):
                item = flat[index]
                raise _wrong_type(array, spec, "strings", "convert it with `.astype(str)`", item)
            flat[index] = ""
        return flat.reshape(array.shape)
    raise _wrong_type(
        array, spec, "strings", "convert it with `.astype(str)` or declare dtype='int64'"
    )


def _as_ints(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype == object:
        array = _numbers(array, spec, "integers")
    elif array.dtype.kind != "f":
        raise _wrong_type(array, spec, "integers", "declare dtype='string'")
    result = np.full(array.shape, -1, dtype=np.int64)
    known = array == array
    try:
        with np.errstate(invalid="raise"):
            # Element by element, since a float has no room for every 64-bit id.
            result[known] = array[known].astype(np.int64)
        whole = bool(np.all(result[known] == array[known]))
    except (OverflowError, FloatingPointError):
        whole = False
    if not whole:
        raise _wrong_type(array, spec, "64-bit integers", "use a Numeric feature for other numbers")
    return result


def _numbers(array: np.ndarray, spec: tf.TensorSpec, wanted: str) -> np.ndarray:
    """An object array whose items are numbers, NaN where one is missing."""
    flat = array.ravel().copy()
    for index, item in enumerate(flat):
        if isinstance(item, numbers.Number):
            continue
        if not is_missing(item):
            raise _wrong_type(array, spec, wanted, "convert it, or declare dtype='string'", item)
        flat[index] = np.nan
    return flat.reshape(array.shape)


def _check_shape(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if spec.shape.rank == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(
            f"Column {spec.name!r} must have shape {_shape(spec.shape)}. "
            f"Received shape {array.shape}."
        )
    return array


def dataset_columns(dataset: tf.data.Dataset) -> Mapping[str, Any]:
    """The columns of a dataset of columns, or of tuples that start with them."""
    element = dataset.element_spec
    columns = element[0] if isinstance(element, tuple) else element
    if not isinstance(columns, Mapping):
        raise TypeError(
            "The dataset must yield a dict of columns, or a tuple that starts with one. "
            f"Received elements of type {type(columns).__name__}."
        )
    return columns


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
    value = dense_tensor(value, spec)
    if spec.shape.rank == 1 and value.shape.rank == 2:
        value = tf.ensure_shape(value, (None, 1))[:, 0]
    return tf.ensure_shape(value, spec.shape)


def dense_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """A dense, ragged or sparse tensor as a dense one of the dtype of `spec`."""
    if not tf.is_tensor(value):
        value = tf.convert_to_tensor(value)
    if not _castable(value.dtype, spec.dtype):
        raise TypeError(
            f"Column {spec.name!r} must have dtype {spec.dtype.name}. "
            f"Received dtype {value.dtype.name}."
        )
    if value.dtype != spec.dtype:
        value = tf.cast(value, spec.dtype)
    padding = tf.constant(_PADDING[spec.dtype], spec.dtype)
    if isinstance(value, tf.RaggedTensor):
        return value.to_tensor(default_value=padding)
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(value, default_value=padding)
    return value


def _castable(found: tf.DType, wanted: tf.DType) -> bool:
    if found == wanted:
        return True
    if wanted == tf.int64:
        return found.is_integer or found.is_bool
    return wanted == tf.float32 and (found.is_floating or found.is_integer or found.is_bool)


def _wrong_rows(spec: tf.TensorSpec, wanted: str, rows: Sequence[Any]) -> ValueError:
    lengths = sorted({len(row) for row in rows if hasattr(row, "__len__")})
    return ValueError(
        f"Column {spec.name!r} must have {wanted} in every row. Received rows of "
        f"lengths {lengths[:8]}."
    )


def _wrong_type(
    array: np.ndarray, spec: tf.TensorSpec, wanted: str, remedy: str, item: Any = None
) -> TypeError:
    received = f"dtype {array.dtype}" if item is None else f"{type(item).__name__} ({item!r})"
    return TypeError(f"Column {spec.name!r} must hold {wanted}. Received {received}: {remedy}.")


def _shape(shape: Any) -> str:
    return str(tuple(shape)).replace("None", "any")
