"""Which columns of a dataset fit a feature, told from their specs."""

import pytest
import tensorflow as tf

from rankup_keras.features.columns import check_dataset_spec

STRING = tf.TensorSpec((None,), tf.string, name="x")
INT = tf.TensorSpec((None,), tf.int64, name="x")
FLOAT = tf.TensorSpec((None,), tf.float32, name="x")
STRINGS = tf.TensorSpec((None, None), tf.string, name="x")
VECTOR = tf.TensorSpec((None, 2), tf.float32, name="x")


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
