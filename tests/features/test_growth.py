"""Vocabularies that grow: against a plain Python form of the rules, and by property."""

import pathlib
import re

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import rankup_keras as rk
from rankup_keras.features import count_values, grow

ROOT = pathlib.Path(__file__).parents[2]


def adapted(values, **kwargs):
    return rk.FeatureSet([rk.Categorical("ad", **kwargs)]).adapt({"ad": values})


def words(features, name="ad"):
    return features.lookups[name].vocabulary()


def test_known_values_keep_their_ids_and_new_ones_take_free_ids_first():
    features = adapted(["a", "a", "a", "b", "b", "c"])
    first = grow(features, {"ad": ["a", "c"]}, day=1, evict_after=1)
    assert words(first.features) == ["a", "b", "c"]
    # b was last seen on day 1, as all of the vocabulary; on day 3 it goes, and x takes its id.
    second = grow(first.features, {"ad": ["a", "x", "x", "y"]}, first.ledger, day=2, evict_after=1)
    assert words(second.features) == ["a", "b", "c", "x", "y"]
    third = grow(second.features, {"ad": ["a", "y", "z"]}, second.ledger, day=3, evict_after=1)
    assert words(third.features) == ["a", "z", "y", "x"]
    assert third.changes == {"ad": {"kept": 3, "added": 1, "evicted": 2}}


def test_more_evicted_than_added_moves_the_last_values_into_free_ids():
    features = adapted(["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e"])
    counts = {"count": [0.0, 9, 0, 9, 9], "last_seen": [0] * 5}
    ledger = pa.table({"feature": ["ad"] * 5, "value": list("abcde"), **counts})
    grown = grow(features, {"ad": ["d"]}, ledger, day=1, evict_below=1)
    assert words(grown.features) == ["d", "b", "e"]
    assert grown.changes["ad"] == {"kept": 3, "added": 0, "evicted": 2}


def test_admission_counts_over_days_and_decays():
    features = adapted(["a"])
    one = grow(features, {"ad": ["new", "a"]}, day=1, min_count=2)
    assert words(one.features) == ["a"]
    two = grow(one.features, {"ad": ["new"]}, one.ledger, day=2, min_count=2)
    assert words(two.features) == ["a", "new"]
    slow = grow(one.features, {"ad": ["new"]}, one.ledger, day=2, min_count=2, decay=0.9)
    assert words(slow.features) == ["a"]
    row = next(r for r in slow.ledger.to_pylist() if r["value"] == "new")
    assert row == {"feature": "ad", "value": "new", "count": pytest.approx(1.9), "last_seen": 2}


def test_max_tokens_keeps_the_most_frequent():
    features = adapted(["a", "a", "b"], max_tokens=2)
    grown = grow(features, {"ad": ["c", "c", "c", "a"]}, day=1)
    assert words(grown.features) == ["a", "c"]


def test_integer_ids_hashed_and_fixed_features():
    features = rk.FeatureSet(
        [
            rk.Categorical("item"),
            rk.Categorical("user", hash_buckets=10),
            rk.Categorical("page", num_ids=5),
            rk.Categorical("color", vocabulary=["red", "blue"]),
        ]
    )
    rows = {"item": [7, 7, 3], "user": ["u"] * 3, "page": [0, 1, 2], "color": ["red"] * 3}
    features.adapt(rows)
    today = {**rows, "item": [3, 2**40, 9], "color": ["green"] * 3}
    grown = grow(features, today, day=1, fixed=["color"])
    assert words(grown.features, "item") == ["7", "3", str(2**40), "9"], "ties by their text"
    assert words(grown.features, "color") == ["red", "blue"]
    assert grown.features.ids("item", tf.constant(today["item"], tf.int64)).numpy().tolist() == [
        3,
        4,
        5,
    ]
    assert list(grown.changes) == ["item"]
    assert words(features, "item") == ["7", "3"], "yesterday's features stay as they are"


def test_counts_of_workers_are_summed(tmp_path):
    features = adapted(["a", "b"])
    parts = [["a", "x", "y"], ["x", "z", "b"], ["y", "x"]]
    tables = [count_values(features, {"ad": part}) for part in parts]
    pq.write_table(tables[2], tmp_path / "counts.parquet")
    whole = grow(features, {"ad": [*parts[0], *parts[1], *parts[2]]}, day=1)
    summed = grow(features, [*tables[:2], str(tmp_path / "counts.parquet")], day=1)
    assert words(summed.features) == words(whole.features) == ["a", "b", "x", "y", "z"]
    assert summed.ledger.equals(whole.ledger)


def test_moments_move_by_the_window():
    rng = np.random.default_rng(0)
    old, new = rng.normal(3, 2, 500), rng.normal(5, 1, 400)
    features = rk.FeatureSet([rk.Numeric("price")]).adapt({"price": old})
    grown = grow(features, {"price": new}, day=1, moments_window=4)
    mean, deviation = grown.features.get_config()["learned"]["moments"]["price"]
    expected = 0.75 * old.mean() + 0.25 * new.mean()
    square = 0.75 * (old**2).mean() + 0.25 * (new**2).mean()
    np.testing.assert_allclose([mean, deviation**2], [expected, square - expected**2], rtol=1e-6)
    kept = grow(features, {"price": new}, day=1)
    assert kept.features.get_config()["learned"] == features.get_config()["learned"]


@hypothesis.given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=9), min_size=2, max_size=5),
    st.integers(1, 3),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([1.0, 0.5]),
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_rules_against_a_plain_form(days, min_count, evict_after, decay):
    features, ledger = adapted(days[0]), None
    counts, seen = {}, {}
    for day, rows in enumerate(days[1:], start=1):
        known = words(features)
        for value in known:
            counts.setdefault(value, min_count)
            seen.setdefault(value, day)
        counts = {v: c * decay for v, c in counts.items()}
        for value in rows:
            counts[value] = counts.get(value, 0) + 1
            seen[value] = day
        young = {v for v in counts if evict_after is None or day - seen[v] <= evict_after}
        stay = [v for v in known if v in young]
        new = [v for v in young if v not in known and counts[v] >= min_count]
        if not stay and not new:
            with pytest.raises(ValueError, match="would stay"):
                grow(features, {"ad": rows}, ledger, day=day, min_count=min_count,
                     evict_after=evict_after, decay=decay)  # fmt: skip
            return
        grown = grow(features, {"ad": rows}, ledger, day=day, min_count=min_count,
                     evict_after=evict_after, decay=decay)  # fmt: skip
        found = words(grown.features)
        assert sorted(found) == sorted(stay + new)
        if len(found) >= len(known):
            assert [v for v in known if v in stay] == [
                found[i] for i, v in enumerate(known) if v in stay
            ]
        features, ledger = grown.features, grown.ledger
        held = set(ledger["value"].to_pylist())
        counts = {v: c for v, c in counts.items() if v in held}
        seen = {v: d for v, d in seen.items() if v in held}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay": 0.0}, r"`decay` must be in \(0, 1\]. Received: decay=0.0"),
        ({"evict_after": 0}, "`evict_after` must be at least 1"),
        ({"min_count": 0}, "`min_count` must be above 0"),
        ({"moments_window": 0.5}, "`moments_window` must be at least 1"),
        ({"fixed": ["ads"]}, r"`fixed` must name features with a vocabulary, \['ad'\]"),
    ],
)
def test_errors_name_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        grow(adapted(["a"]), {"ad": ["a"]}, day=1, **arguments)


def test_refuses_counts_that_are_none():
    features = adapted(["a"])
    counts = pa.table({"feature": ["other"], "value": ["a"], "count": [1]})
    with pytest.raises(ValueError, match="Received: \\['other'\\]"):
        grow(features, counts, day=1)
    with pytest.raises(ValueError, match="`moments_window` needs today's rows"):
        grow(features, counts, day=1, moments_window=2)
    with pytest.raises(ValueError, match="learned nothing yet"):
        grow(rk.FeatureSet([rk.Categorical("ad")]), {"ad": ["a"]}, day=1)


def events(**kwargs):
    ids = {"clicked": "item", "action": ["view", "buy"]}
    return rk.FeatureSet(
        [rk.Categorical("item"), rk.Events("clicks", ids, max_length=3, numbers={"dwell": "log"})],
        **kwargs,
    )


def test_events_keep_what_they_own_and_their_numbers_move():
    rows = {"item": ["a", "b"], "clicked": [["b"], []], "action": [["view"], []]}
    old = events().adapt({**rows, "dwell": [[1.0], []]})
    today = {**rows, "item": ["c", "b"], "dwell": [[5.0], []]}
    kept = grow(old, today, day=1).features
    moments = [f.get_config()["learned"]["moments"]["dwell"] for f in (old, kept)]
    assert moments[0] == moments[1]
    assert words(kept, "item") == ["a", "b", "c"]
    assert words(kept, "action") == ["view", "buy"]
    into = grow(old, today, day=1, into=events()).features
    assert into.get_config()["learned"]["moments"]["dwell"] == moments[0]
    moved = grow(old, today, day=1, moments_window=2).features
    assert moved.get_config()["learned"]["moments"]["dwell"] != moments[0]


def test_a_constant_day_has_no_deviation():
    features = rk.FeatureSet([rk.Numeric("x")]).adapt({"x": [1.0, 2.0]})
    moved = grow(features, {"x": [3.0, 3.0]}, day=1, moments_window=2).features
    mean, deviation = moved.get_config()["learned"]["moments"]["x"]
    square = (np.mean([1.0, 4.0]) + 9.0) / 2
    np.testing.assert_allclose([mean, deviation], [2.25, np.sqrt(square - 2.25**2)])


def test_the_limit_is_that_of_the_new_declaration():
    features = adapted(["a", "a", "b"], max_tokens=2)
    into = rk.FeatureSet([rk.Categorical("ad", max_tokens=3)])
    assert len(words(grow(features, {"ad": ["c", "d"]}, day=1, into=into).features)) == 3


def test_counts_with_line_breaks_and_without_values_stay_out(tmp_path):
    counts = {"feature": ["ad"] * 4, "value": ["c", "d\ne", None, ""], "count": [3, 2, 1, 1]}
    with pytest.warns(UserWarning, match="1 counts are of values with a line break"):
        grown = grow(adapted(["a"]), pa.table(counts), day=1)
    assert words(grown.features) == ["a", "c"]
    pq.write_table(grown.ledger, tmp_path / "ledger.parquet")
    again = grow(grown.features, {"ad": ["a"]}, tmp_path / "ledger.parquet", day=2)
    assert words(again.features) == ["a", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"day": "2026-01-01"}, "`day` must be a number of days"),
        ({"day": 2**40}, "`day` must be a number of days"),
        ({"day": 1, "ledger": pa.table({"value": ["a"]})}, "`ledger` must have the columns"),
        ({"day": 1, "ledger": "later"}, "`day` must not be before the ledger's, 5"),
    ],
)
def test_days_and_ledgers_that_are_none(arguments, message):
    features = adapted(["a"])
    if arguments.get("ledger") == "later":
        arguments = {**arguments, "ledger": grow(features, {"ad": ["a"]}, day=5).ledger}
    with pytest.raises(ValueError, match=message):
        grow(features, {"ad": ["a"]}, **arguments)


@pytest.mark.parametrize("counter", ["duckdb", "pyspark"])
def test_counts_that_the_guide_lets_others_make(counter, tmp_path, monkeypatch):
    pytest.importorskip(counter, reason=f"{counter} is of an extra")
    guide = (ROOT / "docs/daily.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    code = next(block for block in blocks if counter in block)
    rng = np.random.default_rng(0)
    rows = {
        "ad_id": pa.array([f"å{k}" if k else None for k in rng.integers(0, 9, 90)]),
        "user_id": pa.array([int(k) << 40 if k else None for k in rng.integers(0, 9, 90)]),
    }
    (tmp_path / "logs/day18").mkdir(parents=True)
    for part in range(2):
        half = pa.table(rows).slice(45 * part, 45)
        pq.write_table(half, tmp_path / f"logs/day18/part{part}.parquet")
    monkeypatch.chdir(tmp_path)
    exec(code, names := {})
    if "SparkSession" in names:
        names["SparkSession"].getActiveSession().stop()
    features = rk.FeatureSet([rk.Categorical("ad_id"), rk.Categorical("user_id", dtype="int64")])
    features.adapt({"ad_id": ["å1", "å99"], "user_id": [1 << 40, 7]})
    files = [f"counts_{name}.parquet" for name in rows]
    ours, theirs = (grow(features, data, day=18) for data in (pa.table(rows), files))
    assert theirs.changes == ours.changes
    order = [("feature", "ascending"), ("value", "ascending")]
    assert theirs.ledger.sort_by(order).equals(ours.ledger.sort_by(order))
    for name in rows:
        assert words(theirs.features, name) == words(ours.features, name)
