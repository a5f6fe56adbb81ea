import datetime as dt
import itertools
import math

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from rankup_keras.data import EventLog, earlier_items


def whole_and_parts(rows, cuts, **settings):
    """The lists of all rows at once, and of the same rows part by part."""
    found = []
    for bounds in ([0, len(rows)], sorted({0, len(rows), *cuts})):
        log = EventLog("user", "time", {"seen": "item", "at": "time"}, **settings)
        lists = []
        for start, end in itertools.pairwise(bounds):
            part = rows[start:end]
            table = log.add(
                {
                    "user": [u for u, _, _ in part],
                    "time": np.array([t for _, t, _ in part], int),
                    "item": [str(start + i) for i in range(len(part))],
                    "click": [c for _, _, c in part],
                }
            )
            lists += zip(table["seen"].to_pylist(), table["at"].to_pylist(), strict=True)
        found.append(lists)
    return found


@hypothesis.given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.integers(0, 6), st.booleans()), min_size=1),
    st.lists(st.integers(0, 30)),
    st.booleans(),
    st.sampled_from(["oldest_first", "newest_first"]),
)
def test_against_the_definition(rows, cuts, clicks, order):
    rows = sorted(rows, key=lambda row: row[1])
    cuts = [cut for cut in cuts if cut < len(rows)]
    keep = "click" if clicks else None
    whole, parts = whole_and_parts(rows, cuts, length=2, order=order, keep=keep)
    assert whole == parts
    for number, (user, time, _) in enumerate(rows):
        earlier = [
            str(i)
            for i, (u, t, c) in enumerate(rows)
            if u == user and t < time and (c or not clicks)
        ][-2:]
        earlier = earlier if order == "oldest_first" else earlier[::-1]
        assert whole[number] == (earlier, [rows[int(i)][1] for i in earlier]), number


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
def test_it_agrees_with_earlier_items(order):
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 5, 200), np.sort(rng.integers(0, 90, 200))
    items = rng.integers(0, 9, 200).astype(str)
    log = EventLog("u", "t", {"seen": "i"}, length=3, order=order)
    lists = log.add({"u": users, "t": times, "i": items})["seen"].to_pylist()
    want = earlier_items(users, times, items, length=3, order=order)
    assert [[x for x in row if x] for row in want.tolist()] == lists


def test_dates_and_the_order_of_parts():
    day = [dt.datetime(2024, 1, d) for d in (1, 2)]
    log = EventLog("u", "t", {"at": "t"}, length=3)
    log.add({"u": ["a", "a"], "t": day})
    assert log.add({"u": ["a"], "t": [day[1]]})["at"].to_pylist() == [[day[0]]]
    with pytest.raises(ValueError, match="must be added in the order of time"):
        log.add({"u": ["a"], "t": [day[0]]})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"u": ["a"], "i": ["x"]}, r"lacks the columns \['t'\]"),
        ({"u": ["a"], "t": [1], "i": ["x"], "seen": [1]}, r"has columns named \['seen'\]"),
        ({"u": ["a"], "t": [None], "i": ["x"]}, "'t' must be known of every row"),
    ],
)
def test_refused_rows(rows, message):
    with pytest.raises(ValueError, match=message):
        EventLog("u", "t", {"seen": "i"}, length=1).add(rows)


@pytest.mark.parametrize("keep", [[math.nan, 1], [None, True], ["0", "1"], [0, 2]])
def test_rows_of_which_nobody_says_whether_they_are_events_are_refused(keep):
    log = EventLog("u", "t", {"seen": "i"}, length=1, keep="click")
    with pytest.raises(ValueError, match="'click', `keep`, must be 0 or 1, or a boolean"):
        log.add(pd.DataFrame({"u": ["a", "a"], "t": [1, 2], "i": ["x", "y"], "click": keep}))


def test_parts_of_several_dictionaries_without_rows_and_of_other_types():
    log = EventLog("u", "t", {"seen": "i"}, length=2)
    log.add(pd.DataFrame({"u": [], "t": [], "i": []}))
    for users, times, items, want in (
        (["a", None], [1, 1], ["x", "y"], [[], []]),
        (["b", "a"], [2, 2], ["z", "y"], [[], ["x"]]),
        (["a", "b"], [3, 3], ["x", None], [["x", "y"], ["z"]]),
    ):
        part = {"u": pd.Categorical(users), "t": times, "i": pd.Categorical(items)}
        assert log.add(pd.DataFrame(part))["seen"].to_pylist() == want
    for other in ({"u": [1]}, {"t": [dt.datetime(2024, 1, 1)]}):
        with pytest.raises(TypeError, match="must have one type in all parts"):
            log.add({"u": ["a"], "t": [4], "i": ["x"], **other})


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"length": 0}, "`length` must be at least 1"), ({"order": "x"}, "`order` must be one of")],
)
def test_refused_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        EventLog("u", "t", {"seen": "i"}, **{"length": 1, **settings})
