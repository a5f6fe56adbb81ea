"""Columns as tensors, in datasets and in graphs."""

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features.tensors import cast_tensor, check_dataset_spec
from tests.features.test_columns import FLOAT, INT, INTS, RAGGED, SPARSE, STRING, STRINGS, VECTOR


def ragged_spec(dtype):
    return tf.RaggedTensorSpec((None, None), dtype, 1)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (tf.TensorSpec((None,), tf.int32), INT),
        (tf.TensorSpec((8,), tf.int64), INT),
        (tf.TensorSpec((None,), tf.bool), INT),
        (tf.TensorSpec((None, 1), tf.int64), INT),
        (tf.TensorSpec(None, tf.int64), INT),
        (tf.TensorSpec((None,), tf.float64), FLOAT),
        (tf.TensorSpec((None,), tf.bool), FLOAT),
        (tf.TensorSpec((None,), tf.int64), FLOAT),
        (tf.TensorSpec((None, 7), tf.string), STRINGS),
        (ragged_spec(tf.string), STRINGS),
        (tf.SparseTensorSpec((None, None), tf.string), STRINGS),
        (tf.TensorSpec((None, 2), tf.float64), VECTOR),
    ],
)
def test_dataset_columns_that_fit(found, wanted):
    check_dataset_spec({"x": found, "unused": None}, {"x": wanted})


@pytest.mark.parametrize(
    ("found", "wanted", "error", "message"),
    [
        (tf.TensorSpec((), tf.int64), INT, ValueError, "without a batch dimension. Batch the data"),
        (tf.TensorSpec((None,), tf.string), STRINGS, ValueError, "without a batch dimension"),
        (tf.TensorSpec((2,), tf.float32), VECTOR, ValueError, "without a batch dimension"),
        (tf.TensorSpec((None, 3), tf.float32), VECTOR, ValueError, r"shape \(None, 2\)"),
        (tf.TensorSpec((None, 3), tf.int64), INT, ValueError, r"Received shape \(None, 3\)"),
        (tf.TensorSpec((None,), tf.string), INT, TypeError, "dtype int64. Received dtype string"),
        (tf.TensorSpec((None,), tf.float32), INT, TypeError, "dtype int64. Received dtype float32"),
        (tf.TensorSpec((None,), tf.int64), STRING, TypeError, "dtype string. Received dtype int64"),
        (tf.TensorSpec((None,), tf.string), FLOAT, TypeError, "dtype float32"),
        (ragged_spec(tf.int64), STRINGS, TypeError, "dtype string. Received dtype int64"),
    ],
)
def test_dataset_columns_that_do_not_fit(found, wanted, error, message):
    with pytest.raises(error, match=f"Column 'x'.*{message}"):
        check_dataset_spec({"x": found}, {"x": wanted})


def test_dataset_without_a_column():
    with pytest.raises(ValueError, match=r"Columns are missing: \['x'\].*\['y'\]"):
        check_dataset_spec({"y": INT}, {"x": INT})


def test_tensors_in_the_graph():
    assert cast_tensor(np.array([[3], [4]], "int32"), INT).numpy().tolist() == [3, 4]
    assert cast_tensor(RAGGED, STRINGS).numpy().tolist()[1] == [b"", b""]
    assert (
        cast_tensor(SPARSE, STRINGS).numpy().tolist()
        == cast_tensor(RAGGED, STRINGS).numpy().tolist()
    )
    assert cast_tensor(tf.ragged.constant([[1], [2, 3]]), INTS).numpy().tolist() == [
        [1, -1],
        [2, 3],
    ]
    with pytest.raises(TypeError, match="must have dtype int64"):
        cast_tensor(tf.constant([1.7]), INT)


def in_a_pipeline(column, spec):
    data = tf.data.Dataset.from_tensors(column)
    return next(iter(data.map(lambda value: cast_tensor(value, spec)))).numpy().tolist()


def test_a_column_without_a_value_in_the_batch_is_missing():
    empty = tf.SparseTensor(np.zeros((0, 2), np.int64), np.zeros(0, str), (2, 0))
    one = tf.SparseTensor([[1, 0]], ["b"], (2, 1))
    for read in (in_a_pipeline, lambda *given: cast_tensor(*given).numpy().tolist()):
        assert read(empty, STRING) == [b"", b""]
        assert read(one, STRING) == [b"", b"b"]
        assert read(tf.ragged.constant([[], [7]], dtype=tf.int32), INT) == [-1, 7]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Column x must have one value"):
            read(SPARSE, STRING)


def test_ids_beyond_64_signed_bits_are_refused():
    flat = np.array([5, 2**64 - 1], np.uint64)
    columns = (
        tf.constant(flat),
        tf.RaggedTensor.from_row_lengths(flat, [2]),
        tf.SparseTensor([[0, 0], [0, 1]], flat, (1, 2)),
    )
    for column, spec in zip(columns, (INT, INTS, INTS), strict=True):
        with pytest.raises(tf.errors.InvalidArgumentError, match="x has ids beyond int64"):
            in_a_pipeline(column, spec)
    assert in_a_pipeline(tf.constant([5, 7], tf.uint64), INT) == [5, 7]
    assert in_a_pipeline(tf.RaggedTensor.from_row_lengths(flat[:1], [1, 0]), INTS) == [[5], [-1]]
