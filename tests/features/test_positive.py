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
        ("True", [True, False], [1, 0]),
        ("FALSE", [True, False], [0, 1]),
        (" yes ", ["yes", "\\N", "null"], [1, NAN, 0]),
        ("> 1", ["2", "\\N", "null", "1"], [1, NAN, NAN, 0]),
        (np.int64(4), [3, 4], [0, 1]),
        ([np.float32(4.5), 1], [4.5, 1.0, 4.0], [1, 1, 0]),
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


@pytest.mark.parametrize(
    ("rule", "values", "kind"),
    [
        ("yes", np.array([True, False]), "bool"),
        ("> 1", np.array([True, False]), "bool"),
        ("good", np.array([1, 2]), "int64"),
        ("true", np.array([0.0, 1.0]), "double"),
        (3.5, np.array([3, 4]), "int64"),
        (300, np.array([3, 4], np.uint8), "uint8"),
        ("< 0", np.array([3, 4], np.uint8), "uint8"),
    ],
)
def test_a_rule_that_fits_no_value_of_the_type_is_refused(rule, values, kind):
    message = rf"`positive` of task 'click' must .* type is {kind}; .* positive={rule!r}"
    for column in (values, tf.constant(values), pa.array(values).dictionary_encode()):
        with pytest.raises(ValueError, match=message):
            Positive(rule, "click")(column)


@pytest.mark.parametrize(
    "rule", [NAN, np.float32(NAN), range(3), b"yes", True, np.True_, [], [1, NAN], " ", "\\N"]
)
def test_what_is_no_rule(rule):
    with pytest.raises(ValueError, match="`positive` of task 'click' must be a comparison"):
        Positive(rule, "click")


def test_columns_of_one_value_per_row():
    for values in (np.array([[1], [5]]), np.array([["1"], ["5"]], object), [[1], [5]]):
        assert Positive(">= 4")(values).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"\(rows, 1\)\. Received shape \(2, 2\)"):
        Positive(">= 4")(np.ones((2, 2)))
