"""Columns as tensors, of datasets and of requests → the dtypes and ranks that features declare."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from rankup_keras.features.target import PADDING, REMEDY, Target, missing_columns_error


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
                f"Column {name!r} has shape {shape}, without a batch dimension. "
                "Batch the dataset first: `dataset.batch(1024)`."
            )
        if wanted.shape.rank == 1 and shape.rank == 2 and shape[1] not in (1, None):
            target = Target.of_spec(wanted)
            raise ValueError(f"Column {name!r} {target.not_single(f'shape {shape}')}")
        squeezable = wanted.shape.rank == 1 and shape.rank == 2 and shape[1] in (1, None)
        if not squeezable and not wanted.shape.is_compatible_with(shape):
            raise ValueError(
                f"Column {name!r} must have shape {wanted.shape}. Received shape {shape}."
            )
        check_castable(found.dtype, tf.TensorSpec(None, wanted.dtype, name))


def cast_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """A tensor of a `tf.data` element or a request, in the dtype and rank of `spec`."""
    value = dense_tensor(value, spec)
    if spec.shape.rank == 1 and value.shape.rank == 2:
        value = _only_values(value, spec)
    return tf.ensure_shape(value, spec.shape)


def _only_values(value: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """The value of each row, of a tensor (rows, 1) or, where all are missing, (rows, 0)."""
    if value.shape[1] == 1:
        return value[:, 0]
    single = tf.debugging.assert_less_equal(
        tf.shape(value)[1],
        1,
        f"Column {spec.name} {Target.of_spec(spec).not_single('a row of more values')}",
    )
    missing = tf.fill([tf.shape(value)[0], 1], tf.constant(PADDING[spec.dtype.name], spec.dtype))
    with tf.control_dependencies([] if single is None else [single]):
        return tf.concat([value, missing], axis=1)[:, 0]


def dense_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """A dense, ragged or sparse tensor as a dense one of the dtype of `spec`."""
    if not tf.is_tensor(value):
        value = tf.convert_to_tensor(value)
    check_castable(value.dtype, spec)
    if value.dtype == tf.uint64 and spec.dtype == tf.int64:
        value = _signed(value, spec)
    elif value.dtype != spec.dtype:
        value = tf.cast(value, spec.dtype)
    padding = tf.constant(PADDING[spec.dtype.name], spec.dtype)
    if isinstance(value, tf.RaggedTensor):
        return value.to_tensor(default_value=padding)
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(value, default_value=padding)
    return value


def _signed(value: Any, spec: tf.TensorSpec) -> Any:
    """A tensor of uint64 as int64; what is beyond would become another id, or a missing one."""
    value = tf.cast(value, tf.int64)
    flat = value.flat_values if isinstance(value, tf.RaggedTensor) else value
    flat = flat.values if isinstance(flat, tf.SparseTensor) else flat
    message = f"Column {spec.name} has ids beyond int64: they must be text, with dtype='string'."
    fine = tf.debugging.assert_non_negative(flat, message)
    with tf.control_dependencies([] if fine is None else [fine]):
        if isinstance(value, tf.RaggedTensor):
            return value.with_flat_values(tf.identity(flat))
        if isinstance(value, tf.SparseTensor):
            return value.with_values(tf.identity(flat))
        return tf.identity(flat)


def check_castable(found: tf.DType, spec: tf.TensorSpec) -> None:
    """Raises `TypeError` unless a column of a dtype can become one of `spec`."""
    if not _castable(found, spec.dtype):
        raise TypeError(
            f"Column {spec.name!r} must have dtype {spec.dtype.name}. Received dtype {found.name}. "
            + REMEDY.get(spec.dtype.name, "Make it numbers.")
        )


def _castable(found: tf.DType, wanted: tf.DType) -> bool:
    if found == wanted:
        return True
    if wanted == tf.int64:
        return found.is_integer or found.is_bool
    return wanted.is_floating and (found.is_floating or found.is_integer or found.is_bool)
