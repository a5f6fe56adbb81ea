"""The preprocessing graph against plain Python."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.features import Numeric
from rankup_keras.features.encoding import (
    clean_vectors,
    encode_numeric,
    fixed_length,
    hash_ids,
    integer_ids,
)
from tests.reference import features as reference


@given(
    rows=st.integers(0, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.sampled_from([0, 0, 1, 2, 3, 9]), min_size=width, max_size=width),
            max_size=4,
        ).map(lambda rows: np.array(rows, np.int32).reshape(len(rows), width))
    ),
    length=st.integers(1, 5),
    keep=st.sampled_from(["first", "last"]),
)
def test_fixed_length(rows, length, keep):
    actual = fixed_length(tf.constant(rows, tf.int32), length, keep)
    expected = [reference.fixed_length(row.tolist(), length, keep) for row in rows]
    assert actual.shape == (len(rows), length)
    assert actual.numpy().tolist() == expected


@pytest.mark.parametrize("dtype", [tf.string, tf.int64])
def test_hash_ids(dtype):
    values = ["a", "", "b", "a"] if dtype == tf.string else [7, -1, 2**60, 7]
    missing = tf.constant(values, dtype)[:, None]
    ids = hash_ids(tf.concat([missing, missing], axis=1), [5, 1000]).numpy()
    assert ids.dtype == np.int32
    assert ids[1].tolist() == [0, 0]
    assert (ids[[0, 2, 3]] >= 1).all()
    assert (ids[:, 0] <= 5).all()
    assert (ids[:, 1] <= 1000).all()
    assert (ids[0] == ids[3]).all()
    assert ids[0, 1] != ids[2, 1]


def test_hash_ids_fill_all_buckets_evenly():
    ids = hash_ids(tf.constant([[f"user {i}"] for i in range(5000)]), [10]).numpy()
    counts = np.bincount(ids[:, 0], minlength=11)
    assert counts[0] == 0
    assert counts[1:].min() > 400
    assert counts[1:].max() < 600


@given(st.lists(st.sampled_from([-(2**62), -2, -1, 0, 1, 4, 5, 6, 2**62]), max_size=6))
def test_plain_ids(values):
    ids = integer_ids(tf.constant(values, tf.int64), 5)
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [reference.plain_id(value, 5) for value in values]


def test_plain_ids_of_columns_side_by_side():
    values = tf.constant([[-1, 4, 4], [0, 5, 2], [9, -7, 3]], tf.int64)
    ids = integer_ids(values, [5, 5, 3]).numpy()
    columns = zip(values.numpy().T, [5, 5, 3], strict=True)
    expected = [[reference.plain_id(value, size) for value in column] for column, size in columns]
    assert ids.T.tolist() == expected


floats = st.one_of(
    st.floats(-1e6, 1e6, width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 3e38, -3e38]),
)


@given(
    values=st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=6),
    normalize=st.sampled_from(["standard", "log", None]),
    clip=st.sampled_from([None, 0.5, 10.0]),
    indicators=st.tuples(*[st.booleans()] * 3),
)
def test_numeric(values, normalize, clip, indicators):
    values = np.array(values, np.float32)
    mean, deviation = np.array([1.5, -20.0, 0.0]), np.array([2.0, 300.0, 1.0])
    described = [
        Numeric(f"n{i}", normalize=normalize, clip=clip, indicator=indicators[i]) for i in range(3)
    ]
    actual = encode_numeric(tf.constant(values), described, mean, deviation).numpy()
    columns = [
        reference.numeric(values[:, i], normalize, mean[i], deviation[i], clip) for i in range(3)
    ]
    expected = [column[0] for column in columns]
    expected += [column[1] for column, wanted in zip(columns, indicators, strict=True) if wanted]
    assert np.isfinite(actual).all()
    np.testing.assert_allclose(actual, np.stack(expected, 1), rtol=1e-5, atol=1e-5)


def test_numeric_with_a_mean_far_larger_than_the_deviation():
    # Float32 lies 128 apart here: the mean, rounded to it, would be 0.4 deviations off.
    values = np.array([1_700_000_000, 1_700_000_128], np.float32)
    mean, deviation = values.astype(np.float64).mean() - 10.0, 128.0
    actual = encode_numeric(
        tf.constant(values[:, None]),
        [Numeric("time", indicator=False)],
        np.array([mean]),
        np.array([deviation]),
    )
    expected = (values.astype(np.float64) - mean) / deviation
    np.testing.assert_allclose(actual[:, 0], expected, rtol=1e-5)


def test_vectors_with_an_entry_that_is_no_number_are_missing():
    vectors = tf.constant([[1.0, 2.0], [np.nan, 2.0], [1.0, -np.inf], [0.0, 0.0]])
    expected = [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert clean_vectors(vectors).numpy().tolist() == expected
