"""Which values of a label's column are positive."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.features.positive import Positive

NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "values", "wanted"),
    [
        (">= 4", [3, 4, None, 5], [0, 1, NAN, 1]),
        ("> 3.5", [3.5, 3.6, NAN], [0, 1, NAN]),
        ("<2", ["1", " 2", "", "NaN"], [1, 0, NAN, NAN]),
        ("<= -1e1", [-10, 0], [1, 0]),
        ("yes", ["yes", "no", "", None, " yes "], [1, 0, NAN, NAN, 1]),
        (["Yes", "y"], ["Yes", "y", "Y"], [1, 1, 0]),
        (2, [1, 2, 2.0], [0, 1, 1]),
        ("1", [True, False], [1, 0]),
        ("> 0", [decimal.Decimal("0.5"), decimal.Decimal(0)], [1, 0]),
    ],
)
def test_equal_in_memory_and_in_datasets(rule, values, wanted):
    array = pa.array(values, from_pandas=True)
    np.testing.assert_array_equal(Positive(rule)(array), np.float32(wanted))
    if pa.types.is_string(array.type):
        tensor = tf.constant(array.fill_null("").to_pylist())
    else:
        column = array.cast(pa.float64()) if not pa.types.is_boolean(array.type) else array
        tensor = tf.constant(column.to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(Positive(rule)(tensor).numpy(), np.float32(wanted))


@given(st.lists(st.integers(-5, 5), min_size=1), st.integers(-5, 5))
def test_a_threshold(values, bound):
    wanted = [float(value >= bound) for value in values]
    assert Positive(f">= {bound}")(values).tolist() == wanted
    assert Positive(f">={bound}")([str(value) for value in values]).tolist() == wanted


def test_what_is_no_number_is_named():
    labels, problems = Positive(">= 4").of_arrow(pa.array(["5", "many", None]).dictionary_encode())
    assert labels.to_pylist() == [1.0, None, None]
    assert [(p.row, p.value, p.reason) for p in problems] == [
        (1, "many", "'many' is not a number.")
    ]
    with pytest.raises(ValueError, match="Row 1: 'many' is not a number"):
        Positive(">= 4")(["5", "many"])
