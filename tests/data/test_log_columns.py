"""Times and users of a log's rows."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from rankup_keras.data import EventLog, earlier_items, earlier_statistics, time_split
from rankup_keras.data.log_columns import row_groups, row_times

DAYS = [dt.datetime(2024, 1, day) for day in (2, 10, 1)]


@pytest.mark.parametrize(
    "times",
    [
        [2, 10, 1],
        np.array([2.5, 10, -1]),
        DAYS,
        [day.date() for day in DAYS],
        pd.Series(DAYS).dt.tz_localize("Europe/Berlin"),
        pd.array([2, 10, 1], "Int64"),
        pa.chunked_array([[2, 10], [1]]),
    ],
)
def test_times_sort_as_they_should(times):
    assert np.argsort(row_times(times)).tolist() == [2, 0, 1]
    assert [part.tolist() for part in time_split(times, 0.4, 0.3)] == [[2], [0], [1]]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["9", "10"], "`pandas.to_datetime` reads text"),
        ([dt.timedelta(1)], "must be numbers or dates"),
        ([1, "10"], "must be values of one type"),
        ([1.0, np.nan], "1 of 2 are missing, the first in row 1"),
        (pd.to_datetime(pd.Series([None, "2024-01-01"])), "1 of 2 are missing, the first in row 0"),
        (pd.array([1, None], "Int64"), "the first in row 1"),
        (np.ma.masked_array([1, 2], [True, False]), "the first in row 0"),
        (pd.DataFrame({"t": [1, 2]}), r"one value per row. Received shape \(2, 1\)"),
    ],
)
def test_times_that_say_nothing_are_refused(times, message):
    calls = [
        lambda: time_split(times),
        lambda: earlier_items(["u", "u"], times, ["a", "b"], length=1),
        lambda: earlier_statistics(["u", "u"], times, [1, 0]),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match=message):
            call()


def test_nobody_has_the_history_of_unknown_users():
    users, times, items = ["u", None, "", "u", None], [1, 2, 3, 4, 5], [7, 8, None, 9, 7]
    assert earlier_items(users, times, items, 1).tolist() == [[""], [""], [""], ["7"], [""]]
    assert earlier_statistics(users, times, times)[0].tolist() == [0, 0, 0, 1, 0]
    log = EventLog("user", "time", {"seen": "item"}, length=3)
    rows = {"user": users, "time": times, "item": items}
    assert log.add(rows)["seen"].to_pylist() == [[], [], [], [7], []]
    later = log.add({"user": users, "time": [6] * 5, "item": items})["seen"].to_pylist()
    assert later == [[7, 9], [], [], [7, 9], []]
    numbers, known = row_groups(pd.Series([5, np.nan, 5, np.nan]), "Users")
    assert known.tolist() == [True, False, True, False]
    assert len(set(numbers)) == 3


def test_values_that_are_not_known_do_not_count():
    count, mean = earlier_statistics(
        ["u", "u", "u", "v", "v"],
        [1, 2, 3, 1, 2],
        [1, np.nan, 0, 0, np.nan],
        counted=[1, 1, 0, 1, 0],
    )
    assert count.tolist() == [0, 1, 1, 0, 1]
    np.testing.assert_array_equal(mean, np.float32([np.nan, 1, 1, np.nan, 0]))


def test_items_are_values_as_features_have_them():
    for wrong in ([1.0, np.nan], [1.0, 2.0]):  # the text "1.0" is that of no id
        with pytest.raises(TypeError, match=r"must be text or integers\. Received double"):
            earlier_items(["u", "u"], [1, 2], wrong, length=1)
    with pytest.raises(ValueError, match="'items': 3"):
        earlier_items(["u", "u"], [1, 2], ["a", "b", "c"], length=1)
