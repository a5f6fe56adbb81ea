import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.data import earlier_items, earlier_statistics

# Few users, items and times, so that ties and repeats are the rule.
logs = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w"]),
        st.integers(0, 5),
        st.sampled_from(["a", "b", "c", "dd"]),
        st.integers(1, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


def slow_history(log, row, length, order):
    user, time = log[row][:2]
    earlier = [(log[i][1], i) for i in range(len(log)) if log[i][0] == user and log[i][1] < time]
    newest = [log[i][2] for _, i in sorted(earlier, reverse=True)][:length]
    newest = newest if order == "newest_first" else newest[::-1]
    return newest + [""] * (length - len(newest))


@given(log=logs, length=st.integers(1, 6), order=st.sampled_from(["oldest_first", "newest_first"]))
def test_history_is_that_of_the_slow_form(log, length, order):
    users, times, items, _, _ = map(list, zip(*log, strict=True))
    expected = [slow_history(log, row, length, order) for row in range(len(log))]
    assert earlier_items(users, times, items, length, order).tolist() == expected


@given(log=logs)
def test_statistics_are_those_of_the_slow_form(log):
    users, times, _, values, counted = map(list, zip(*log, strict=True))
    count, mean = earlier_statistics(users, times, values, counted)
    for row, (user, time, *_) in enumerate(log):
        earlier = [x[3] for x in log if x[0] == user and x[1] < time and x[4]]
        assert count[row] == len(earlier)
        expected = sum(earlier) / len(earlier) if earlier else np.nan
        np.testing.assert_allclose(mean[row], expected, rtol=1e-6)


@given(log=logs)
def test_own_and_uncounted_values_are_not_seen(log):
    users, times, _, values, counted = map(np.array, zip(*log, strict=True))
    changed = np.where(counted, values, values + 100)
    for before, after in zip(
        earlier_statistics(users, times, values, counted),
        earlier_statistics(users, times, changed, counted),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


def test_example():
    history = earlier_items(["u", "u", "u"], [1, 2, 2], ["a", "b", "c"], length=2)
    assert history.tolist() == [["", ""], ["a", ""], ["a", ""]]


def test_no_rows():
    assert earlier_items([], [], [], length=3).shape == (0, 3)
    count, mean = earlier_statistics([], [], [])
    assert count.shape == mean.shape == (0,)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="length=0"):
        earlier_items(["u"], [1], ["a"], length=0)
    with pytest.raises(ValueError, match="'groups': 2, 'times': 1"):
        earlier_items(["u", "u"], [1], ["a", "b"], length=1)
    with pytest.raises(ValueError, match="`counted` must be 0 or 1, or a boolean"):
        earlier_statistics(["u", "u"], [1, 2], [1, 0], counted=["False", "True"])


@pytest.mark.parametrize("large", [1e18, np.inf])
def test_large_values_of_others_round_no_mean(large):
    groups, times = ["u", "u", "v", "v", "v"], [1, 2, 1, 2, 3]
    _, mean = earlier_statistics(groups, times, [large, 1, 1, 0, 1])
    np.testing.assert_array_equal(mean, np.float32([np.nan, large, np.nan, 1, 0.5]))
