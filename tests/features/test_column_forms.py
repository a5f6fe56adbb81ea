"""Columns of other libraries than NumPy, pandas, pyarrow and TensorFlow."""

import collections

import ml_dtypes
import numpy as np
import pytest

from rankup_keras.features.column_forms import plain_column
from rankup_keras.features.target import Target

NUMBERS = Target("x", "x", "float32", strict=True)


class OfTorch:
    """As tensors of torch and JAX are, to others: elements are tensors again."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array

    def __len__(self):
        return len(self._array)

    def __getitem__(self, place):
        return OfTorch(self._array[place])


@pytest.mark.parametrize(
    "make",
    [OfTorch, memoryview, collections.deque, lambda a: dict(enumerate(a)).values()],
    ids=["torch", "memory view", "deque", "values"],
)
def test_what_holds_numbers_is_a_column(make):
    assert list(plain_column(make(np.array([1.5, 2.0])), NUMBERS)) == [1.5, 2.0]


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_narrow_numbers_keep_their_values(kind, shape):
    found = plain_column(np.array([1, -2, 3]).astype(kind).reshape(shape), NUMBERS)
    assert found.dtype in (np.float32, np.int64)
    np.testing.assert_array_equal(found, np.reshape([1, -2, 3], shape))


@pytest.mark.parametrize("wrong", [{1, 2}, {1: 2}, "ab", b"a", 5, iter([1])])
def test_what_is_no_column(wrong):
    with pytest.raises(TypeError, match="'x' must be an array or a list with one entry per row"):
        plain_column(wrong, NUMBERS)
