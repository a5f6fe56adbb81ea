import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.data import random_split, time_split


@given(rows=st.integers(0, 200), seed=st.integers(0, 5))
def test_random_split_is_disjoint_and_complete(rows, seed):
    parts = random_split(rows, seed)
    assert sorted(np.concatenate(parts)) == list(range(rows))


@given(times=st.lists(st.integers(0, 9), max_size=60))
def test_time_split_is_ordered_and_complete(times):
    parts = time_split(times)
    order = np.concatenate(parts)
    assert sorted(order) == list(range(len(times)))
    assert np.all(np.diff(np.array(times)[order]) >= 0)


def test_random_split_is_the_published_protocol():
    permutation = np.random.RandomState(3).permutation(100_000)
    train, valid, test = random_split(100_000, seed=3)
    np.testing.assert_array_equal(train, permutation[:80_000])
    np.testing.assert_array_equal(valid, permutation[80_000:90_000])
    np.testing.assert_array_equal(test, permutation[90_000:])


def test_ties_in_time_keep_their_order():
    train, valid, test = time_split([5] * 10)
    assert [*train, *valid, *test] == list(range(10))


@pytest.mark.parametrize(("train", "valid"), [(0.0, 0.1), (0.8, -0.1), (0.8, 0.3)])
def test_wrong_shares(train, valid):
    with pytest.raises(ValueError, match=f"train={train}, valid={valid}"):
        random_split(10, train=train, valid=valid)
