"""Events as a feature: order, cut-off, alignment and what their times tell."""

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

import rankup_keras as rk

YEAR = 365 * 86_400


def make_features(order="oldest_first", unit="s", length=3, **settings):
    return rk.FeatureSet(
        [
            rk.Categorical("item", vocabulary=["a", "b", "c", "d"], side="candidate"),
            rk.Categorical("category", hash_buckets=10, num_hashes=2, side="candidate"),
            rk.Timestamp("now", unit=unit, cycles=[]),
            rk.Events(
                "clicks",
                ids={"clicked": "item", "kind": ["view", "buy"]},
                max_length=length,
                time="at",
                request_time="now",
                order=order,
                **{"actions": {"bits": 2}, **settings},
            ),
        ]
    )


def make_rows(**changes):
    rows = {
        "item": ["a", "b"],
        "category": ["x", "y"],
        "now": [1000, 2000],
        "clicked": [["a", "b", "c", "d"], ["b", "zz"]],
        "kind": [["view", "buy", "view", "???"], ["buy", "view"]],
        "at": [[10, 20, 30, 40], [100, 1500]],
        "bits": [[0, 1, 2, 3], [1, 2]],
    }
    return rows | changes


def ids_of(features, rows, field):
    spec = next(f for f in features.fields() if f.name == field)
    encoded = features.encode(rows)["encoded_ids"]
    return encoded[:, spec.start : spec.start + spec.slots].tolist()


def channels_of(features, rows):
    events = features["clicks"]
    found = features.encode(rows)["encoded_events"]
    found = found.reshape(len(found), events.max_length, -1)
    return dict(zip(events.channels, np.moveaxis(found, 2, 0), strict=True))


def test_the_newest_come_first_and_are_kept():
    features, rows = make_features(), make_rows()
    assert ids_of(features, rows, "clicked") == [[5, 4, 3], [1, 3, 0]]
    # An unknown kind of action has the id of unknown ones, not of missing ones.
    assert ids_of(features, rows, "kind") == [[1, 2, 3], [2, 3, 0]]
    found = channels_of(features, rows)
    assert found["present"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert found["bits:0"].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert found["bits:1"].tolist() == [[1, 1, 0], [1, 0, 0]]


def test_what_times_tell():
    found = channels_of(make_features(time_buckets=4), make_rows())
    year = math.log1p(YEAR)
    np.testing.assert_allclose(found["log_gap"][1], [*np.log1p([500, 1900]) / year, 0], rtol=1e-6)
    np.testing.assert_allclose(found["log_step"][1], [math.log1p(1400) / year, 0, 0], rtol=1e-6)
    hour = 2 * math.pi * np.array([1500, 100]) / 86_400
    np.testing.assert_allclose(found["hour_sin"][1], [*np.sin(hour), 0], rtol=1e-5)
    # 1970 began on a Thursday, the fourth day.
    np.testing.assert_allclose(
        found["weekday_cos"][1, :2], [math.cos(6 * math.pi / 7)] * 2, rtol=1e-5
    )
    features = make_features(time_buckets=4)
    # Edges at 5 s, at their geometric middle (3.5 hours), and at a year.
    rows = make_rows(now=[10**8, 10**8], clicked=[["a"] * 3, []], kind=[["buy"] * 3, []])
    rows |= {"bits": [[0] * 3, []], "at": [[10**8 - 2 * YEAR, 10**8 - 86_400, 10**8 - 1], []]}
    assert ids_of(features, rows, "clicks:gap") == [[1, 3, 4], [0, 0, 0]]


@pytest.mark.parametrize("name", ["clicked", "kind", "clicks:gap"])
def test_reversing_data_and_order_changes_nothing(name):
    rows = make_rows()
    lists = ("clicked", "kind", "at", "bits")
    turned = rows | {c: [row[::-1] for row in rows[c]] for c in lists}
    mixed = rows | {c: [[row[i] for i in np.argsort(rows["bits"][0][::-1])] if len(row) == 4
                        else row for row in rows[c]] for c in lists}  # fmt: skip
    want = ids_of(make_features(), rows, name)
    assert ids_of(make_features("newest_first"), turned, name) == want
    for data in (rows, turned, mixed):
        assert ids_of(make_features("unordered"), data, name) == want


def test_events_that_are_not_before_the_request_are_left_out_and_counted():
    rows = make_rows(at=[[10, 20, 1000, 2000], [100, None]])
    features = make_features()
    message = r"3 of 6 events 'clicks' are not known to be before their row's 'now'"
    with pytest.warns(UserWarning, match=message):
        found = features.encode(rows)
    assert found["encoded_events"].reshape(2, 3, -1)[:, :, 0].tolist() == [[1, 1, 0], [1, 0, 0]]
    # What they are changes nothing.
    other = make_rows(
        at=[[10, 20, 1001, 3000], [100, None]], clicked=[["a", "b", "a", "a"], ["b", "d"]]
    )
    with pytest.warns(UserWarning, match=message):
        again = features.encode(other)
    for name in found:
        np.testing.assert_array_equal(found[name], again[name])


def test_a_dataset_is_encoded_alike_and_told_of_once():
    rows, features = make_rows(at=[[10, 20, 30, 5000], [100, 1500]]), make_features()
    with pytest.warns(UserWarning, match="1 of 6"):
        want = features.encode(rows)
    ragged = {n: tf.ragged.constant(c) for n, c in rows.items() if isinstance(c[0], list)}
    ragged |= {n: tf.constant(rows[n]) for n in rows if n not in ragged}
    data = tf.data.Dataset.from_tensors(ragged).repeat(2)
    with pytest.warns(UserWarning, match="1 of 6") as told:
        batches = list(features.encode(data))
    assert len([w for w in told if "events" in str(w.message)]) == 1
    for name, value in want.items():
        np.testing.assert_allclose(batches[1][name], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "unequal lists": (
            {"kind": [["view"], ["buy", "view"]]},
            "Column 'kind', row 0: The list has 1 values, and that of column 'clicked' has 4",
        ),
        "unsorted times": (
            {"at": [[10, 5, 30, 40], [100, 1500]]},
            r"not in the declared order, oldest_first. Received in row 0: 10 before 5\.",
        ),
        "milliseconds": (
            {"at": [[10, 20, 30, 40], [100, 1_700_000_000_000]]},
            "Times in column 'at' do not look like 's' since 1970.*1700000000000",
        ),
        "milliseconds of the request": (
            {"now": [1_700_000_000_000] * 2},
            "Times in column 'now' do not look like 's' since 1970",
        ),
        "text": ({"at": [["noon"] * 4, [100, 1500]]}, "Column 'at' must hold times"),
    }.values(),
    ids=["unequal lists", "unsorted", "milliseconds", "milliseconds of the request", "text"],
)
def test_a_sentence_names_what_is_wrong(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make_features().encode(make_rows(**change))


def test_seconds_where_milliseconds_are_declared():
    with pytest.raises(ValueError, match="do not look like 'ms'"):
        make_features(unit="ms").encode(make_rows())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"at": [[math.nan] * 4, [math.nan] * 2]}, id="no time is known"),
        pytest.param({"now": [5, 6]}, id="the request is before all events"),
        pytest.param({"now": [None, -1]}, id="the request has no time"),
    ],
)
def test_rows_left_without_events_are_as_those_that_have_none(changes):
    empty = {name: [[], []] for name in ("clicked", "kind", "at", "bits")}
    features = make_features()
    want = features.encode(make_rows(**empty))["encoded_events"]
    assert not want.any()
    with pytest.warns(UserWarning, match="6 of 6 events"):
        found = features.encode(make_rows(**changes))
    np.testing.assert_array_equal(found["encoded_events"], want)


def test_one_row_of_ten_thousand_events_and_one_that_repeats():
    n = 10_000
    rows = make_rows(
        now=[2 * n, 2 * n],
        clicked=[["a", "b"] * (n // 2), ["c", "c", "c"]],
        kind=[["buy"] * n, ["view"] * 3],
        at=[list(range(n)), [7, 7, 7]],
        bits=[[1] * n, [0] * 3],
    )
    features = make_features(length=4)
    # Each of equal events counts.
    assert ids_of(features, rows, "clicked") == [[3, 2, 3, 2], [4, 4, 4, 0]]


def test_dates_with_times_are_instants():
    moments = [dt.datetime(2024, 1, 1, h, tzinfo=dt.UTC) for h in range(4)]
    seconds = [int(m.timestamp()) for m in moments]
    rows = make_rows(now=[seconds[3]] * 2, at=[[*seconds[:2], *seconds[1:3]], seconds[:2]])
    want = make_features().encode(rows)
    zone = dt.timezone(dt.timedelta(hours=-5))
    lists = [[moments[0], moments[1], moments[1], moments[2]], moments[:2]]
    columns = {
        "of a zone": [[m.astimezone(zone) for m in row] for row in lists],
        "without one": [[m.replace(tzinfo=None) for m in row] for row in lists],
        "arrow": pa.array(lists, pa.list_(pa.timestamp("ns", "America/Lima"))),
    }
    for column in columns.values():
        now = pd.Series([moments[3]] * 2)
        found = make_features().encode(rows | {"at": column, "now": now})
        for name in want:
            np.testing.assert_array_equal(found[name], want[name])


def test_the_time_of_the_request_itself():
    stamp = rk.Timestamp("now", utc_offset=1)
    features = rk.FeatureSet([rk.Numeric("price", normalize=None, indicator=False), stamp])
    found = features.encode({"price": [2.0, 3.0], "now": [5 * 3600, -1]})["encoded_numeric"]
    turn = 2 * math.pi * np.array([6 / 24, 3 / 7])
    want = [2, math.sin(turn[0]), math.cos(turn[0]), math.sin(turn[1]), math.cos(turn[1])]
    np.testing.assert_allclose(found, [want, [3, 0, 0, 0, 0]], atol=1e-6)
    assert features.numeric_names()[1:3] == ["now:hour_sin", "now:hour_cos"]
    assert features.numeric_owners() == ["price", "now", "now", "now", "now"]
    with pytest.raises(ValueError, match=r"`utc_offset`.*Received: utc_offset=30"):
        rk.Timestamp("now", utc_offset=30)


def test_numbers_are_scaled_by_what_adapt_learned():
    features = make_features(numbers={"dwell": "standard"})
    rows = make_rows(dwell=[[1.0, 3.0, None, 5.0], [3.0, 3.0]])
    found = channels_of(features.adapt(rows), rows)["dwell"]
    values = np.array([1, 3, 5, 3, 3])
    want = (np.array([5, 3, 3, 3]) - values.mean()) / values.std()
    np.testing.assert_allclose(found, [[want[0], 0, want[1]], [want[2], want[3], 0]], atol=1e-6)


def test_config_and_hashes():
    features = make_features()
    clicks = rk.Events("others", ids={"cat": "category"}, max_length=2)
    features = rk.FeatureSet([*features.features, clicks])
    rows = make_rows(cat=[["x"], ["y", "z"]])
    want = features.encode(rows)
    assert ids_of(features, rows, "cat")[0][1::2] == [0, 0]  # one function's ids after the other's
    json.dumps(features.get_config())
    again = rk.FeatureSet.from_config(features.get_config())
    # Vocabularies of features travel as assets; those of events are in the config.
    assert again["clicks"].get_config() == features["clicks"].get_config()
    assert [f.name for f in again.fields()] == [f.name for f in features.fields()]
    assert set(want) == set(features.encoded_spec())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ids": {}}, "`ids` of feature 'e' must be a dict"),
        ({"time": "t"}, "Give `time` and `request_time` of feature 'e' both"),
        ({"order": "unordered"}, "order='unordered' of feature 'e' needs `time`"),
        ({"order": "last"}, "`order` of feature 'e' must be one of"),
        ({"actions": {"b": 64}}, "`actions` of feature 'e' must be at most 63 bits"),
        ({"time_features": ["age"]}, "`time_features` of feature 'e' must be one of"),
        ({"ids": {"i": "user"}}, "must read the tables of single-valued Categorical features"),
        ({"time": "t", "request_time": "x"}, "`request_time` of events 'e' must name a Timestamp"),
        ({"matches": "i"}, "`matches` of feature 'e' must be True, False or a list of columns"),
        ({"matches": None}, "must be True, False or a list of columns out of \\['i'\\]"),
        ({"matches": ["x"]}, "`matches` of feature 'e' must be one of \\['i'\\]"),
        ({"ids": {"i": 3}, "matches": True}, "`matches` of feature 'e' needs a column of `ids`"),
        ({"ids": {"u": "who"}, "matches": True}, "\\['who'\\] are of side='user'"),
        ({"ids": {"i": "item", "u": "who"}, "matches": ["u"]}, "are of side='user'"),
        ({"ids": {"item": "item"}}, "must be different. Received twice: \\['item'\\]"),
    ],
)
def test_refused(settings, message):
    settings = {"ids": {"i": "item"}, "max_length": 2, **settings}
    singles = [rk.Categorical("item", num_ids=3), rk.Categorical("who", num_ids=3, side="user")]
    with pytest.raises(ValueError, match=message):
        rk.FeatureSet([*singles, rk.Events("e", **settings)])


def test_what_is_matched():
    item = rk.Categorical("item", vocabulary=["a"], oov_buckets=3)
    who = rk.Categorical("who", num_ids=3, side="user")
    singles = [item, rk.Categorical("shop", hash_buckets=9), who]
    ids = {"i": "item", "s": "shop", "w": "who", "kind": 4}
    clicks = rk.Events("e", ids, 5, matches=True, numbers={"paid": None}, actions={"bits": 2})
    features = rk.FeatureSet([*singles, rk.History("seen", "item", 3, matches=True), clicks])
    found = features.matches()
    # A user's own city in the events of the same user tells nothing.
    assert [(m.sequence, m.column, m.of) for m in found] == [
        ("seen", "seen", "item"), ("e", "i", "item"), ("e", "s", "shop"),
    ]  # fmt: skip
    assert [m.first_known for m in found] == [4, 4, 1]
    assert found[0].names == ["seen:count", "seen:recency"]
    assert found[2].names == ["s:count", "s:recency", "s:paid", "s:bits:0", "s:bits:1"]
    some = rk.Events("e", ids, 5, matches=["s"])
    assert [m.column for m in rk.FeatureSet([*singles, some]).matches()] == ["s"]
    assert rk.Events.from_config(some.get_config()).matches == ["s"]
