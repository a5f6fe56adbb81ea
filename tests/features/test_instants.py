"""Times in text of ISO 8601, in files and in memory."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import rankup_keras as rk
from rankup_keras.features.columns import arrow_column

TEXT = [
    "2026-09-01T00:02:54Z",
    "2026-09-01 02:02:54.1234567+02:00",
    "2026-09-01T00:02:54",
    "2026-09-01",
    "",
]
DAY = int(np.datetime64("2026-09-01", "s").astype(np.int64))
SECONDS = np.array([DAY + 174] * 3 + [DAY, -1])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp(tmp_path, unit):
    features = rk.FeatureSet([rk.Timestamp("time", unit), rk.Categorical("user")])
    frame = pd.DataFrame({"time": TEXT, "user": ["u"] * 5, "click": [0, 1, 0, 1, 0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    files = rk.data.Files(tmp_path / "a.csv", features, ["click"])
    columns, _ = next(iter(files.dataset(5)))
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    wanted = np.where(SECONDS < 0, -1, SECONDS * ticks)
    wanted[1] += int(0.1234567 * ticks) if unit != "ns" else 123456700
    np.testing.assert_array_equal(columns["time"], wanted)
    features.adapt(frame)
    encoded = features.encode({"time": wanted, "user": ["u"] * 5})["encoded_numeric"]
    np.testing.assert_array_equal(features.encode(frame)["encoded_numeric"], encoded)


def test_times_of_events_and_wrong_ones(tmp_path):
    features = rk.FeatureSet(
        [
            rk.Timestamp("time"),
            rk.Categorical("ad"),
            rk.Events(
                "past", {"past_ad": "ad"}, time="past_time", request_time="time", max_length=3
            ),
        ]
    )
    rows = {
        "time": TEXT[:2],
        "ad": ["a", "b"],
        "past_ad": [["a"], ["a", "b"]],
        "past_time": [["2026-08-31T23:59:59Z"], ["2026-08-31", "2026-08-31 01:00"]],
    }
    features.adapt(rows)
    numbers = [[DAY - 1], [DAY - 86400, DAY - 86400 + 3600]]
    wanted = features.encode({**rows, "time": SECONDS[:2], "past_time": numbers})
    for name, value in features.encode(rows).items():
        np.testing.assert_array_equal(value, wanted[name])
    with pytest.raises(TypeError, match="'time', row 1: '2026-13-01' is no time: a date with"):
        features.encode({**rows, "time": ["2026-09-01", "2026-13-01"]})
    lines = [f"{TEXT[0]},a,a|b,{DAY - 2}.0|2026-08-31T23:59:59Z", f"{DAY},b,a,soon"]
    (tmp_path / "a.csv").write_text("\n".join(["time,ad,past_ad,past_time", *lines]))
    files = rk.data.Files(tmp_path / "a.csv", features)
    with pytest.raises(rk.data.DataError, match="'soon' is no time: a whole number of s since"):
        rk.data.scan(files)
    (tmp_path / "b.csv").write_text("\n".join(["time,ad,past_ad,past_time", lines[0]]))
    files = rk.data.Files(tmp_path / "b.csv", features)
    item = next(iter(files.dataset(2)))
    columns = item[0] if isinstance(item, tuple) else item
    np.testing.assert_array_equal(columns["past_time"], [[DAY - 2, DAY - 1]])


@pytest.mark.parametrize(
    ("unit", "value", "other"),
    [("s", 1_700_000_000_000, "ms"), ("ms", 1_700_000_000, "s"), ("s", 1_700_000_000, None),
     ("s", 17, None), ("ms", -1, None), ("us", 1_700_000_000_000_000, None)],
)  # fmt: skip
def test_a_unit_that_cannot_be_is_refused(unit, value, other):
    features = rk.FeatureSet(
        [
            rk.Categorical("user"),
            rk.Timestamp("now", unit),
            rk.Events("seen", ids={"users": "user"}, time="at", request_time="now", max_length=2),
        ]
    )
    now = 1_700_000_000 * {"s": 1, "ms": 10**3, "us": 10**6}[unit]
    rows = {"user": ["a", "b"], "users": [["a"], ["b", "a"]], "now": [now, now]}
    for name, values in (("now", [value, value]), ("at", [[value], [value, value]])):
        given = {**rows, "at": [[now], [now, now]], name: values}
        if other is None:
            features.adapt(given)
            continue
        with pytest.raises(ValueError, match=f"'{name}'.* such as {value}.*Give unit='{other}'"):
            features.adapt(given)


@pytest.mark.parametrize(
    ("column", "unit", "wanted"),
    [
        ([dt.date(2026, 9, 1)], "s", DAY),
        (np.array(["2026-09-01"], "datetime64[D]"), "ms", DAY * 1000),
        (np.array(["2026-09"], "datetime64[M]"), "s", DAY),
        (np.array(["2026-09-01T01"], "datetime64[h]"), "s", DAY + 3600),
        (pa.array([DAY // 86400], pa.date32()), "ns", DAY * 10**9),
        (pa.array([DAY * 1000], pa.date64()), "s", DAY),
    ],
)
def test_dates_are_times_at_midnight(column, unit, wanted):
    features = rk.FeatureSet([rk.Timestamp("time", unit)])
    (found,) = arrow_column(column, features.targets()["time"])
    assert found.to_pylist() == [wanted]


def test_a_time_that_has_no_room_is_not_another_time():
    features = rk.FeatureSet([rk.Timestamp("time", "ns")])
    for year in ("9999-12-31", "2300-01-01", "1600-01-01"):
        with pytest.raises(ValueError, match="do not look like 'ns' since 1970"):
            features.encode({"time": np.array([year], "datetime64[s]")})


@pytest.mark.parametrize("column", [pd.to_timedelta([1], "s"), [True, "x"], [0.5]])
def test_what_is_no_time_is_refused(column):
    features = rk.FeatureSet([rk.Timestamp("time")])
    with pytest.raises(TypeError, match="Column 'time'"):
        features.encode({"time": column})


def test_dates_written_as_numbers_are_refused():
    features = rk.FeatureSet([rk.Timestamp("time")])
    with pytest.raises(ValueError, match="such as 20260902, which are dates written as numbers"):
        features.adapt({"time": [20260901, 20260902, 20260903]})
    features.adapt({"time": [20_260_901, 20_271_499]})  # seconds since the start of a log


def test_an_offset_is_a_number():
    with pytest.raises(ValueError, match=r"must be hours, between -24 and 24. Received.*Berlin"):
        rk.Timestamp("time", utc_offset="Europe/Berlin")


def test_times_of_several_kinds_in_a_column_stay_what_they_are():
    target = rk.FeatureSet([rk.Timestamp("time")]).targets()["time"]
    day, hour = dt.date(2026, 9, 1), dt.datetime(2026, 9, 1, 1)
    for column in ([day, hour, None], [hour, day, pd.NaT]):
        (found,) = arrow_column(column, target)
        wanted = [DAY + 3600 * isinstance(item, dt.datetime) for item in column[:2]]
        assert found.to_pylist() == [*wanted, -1]
    with pytest.raises(TypeError, match=r"'time' must hold times.*Received 1700000000 among dates"):
        arrow_column([hour, 1_700_000_000], target)
    (found,) = arrow_column(pd.Series([hour]).astype("category"), target)
    assert found.to_pylist() == [DAY + 3600]
