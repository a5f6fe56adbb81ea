"""Filters on rows."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import rankup_keras as rk
from rankup_keras.data import Between, DataError, Files, OneOf, Share
from rankup_keras.data.source import Chunk
from tests.helpers.data_files import (
    make_columns,
    make_features,
    read,
    write_parquet,
)

HOURS = [(7, 5), (8, 0), (8, 20), (9, 0)]
STAMPS = [dt.datetime(2024, 1, day, hour) for day, hour in HOURS]


def test_conditions_on_rows(tmp_path):
    columns = make_columns(400)
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=70)

    def rows(*where):
        return read(Files(path, make_features(), ["click"], where=where))[0]["row"].tolist()

    assert rows(OneOf("part", ["test"])) == [r for r in range(400) if r % 10 >= 8]
    assert rows(OneOf("row", [3, "5"])) == [3, 5]
    assert rows(Between("row", 10, 13)) == [10, 11, 12]
    shares = [rows(Share(a, b, seed=3)) for a, b in ((0, 0.5), (0.5, 0.75), (0.75, 1))]
    assert sorted(row for part in shares for row in part) == columns["row"]
    assert 160 < len(shares[0]) < 240
    assert rows(Share(0, 0.5, seed=4)) != shares[0]
    halves = [rows(Share(a, b, by="user")) for a, b in ((0, 0.5), (0.5, 1))]
    users = [{columns["user"][row] for row in half} for half in halves]
    assert users[0]
    assert users[1]
    assert not users[0] & users[1]


def test_a_share_is_the_same_however_the_file_is_cut(tmp_path):
    columns = make_columns(100)
    found = []
    for size, name in ((100, "a"), (7, "b")):
        folder = tmp_path / name
        folder.mkdir()
        path = write_parquet(folder / "x.parquet", columns, row_group_size=size)
        files = Files(path, make_features(), ["click"], where=[Share(0.2, 0.6)])
        found.append(read(files)[0]["row"].tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "column",
    [
        ["2024-01-07", "2024-01-08", "2024-01-08 23:59:59", "2024-01-09", None, ""],
        pa.array([dt.datetime(2024, 1, day, hour) for day, hour in HOURS], pa.timestamp("ms")),
        pa.array(
            [dt.datetime(2024, 1, day, hour) for day, hour in HOURS], pa.timestamp("s", "UTC")
        ),
        [f"2024-01-{day:02}T{hour:02}:00:00Z" for day, hour in HOURS],
        [f"2024-01-{day:02}T{hour + 1:02}:00:00+01:00" for day, hour in HOURS],
    ],
    ids=["text", "timestamp", "zone", "text of UTC", "text of a zone"],
)
def test_between_dates(column):
    array = column if isinstance(column, pa.Array) else pa.array(column, pa.string())
    chunk = Chunk(pa.record_batch({"at": array}), Path("a.csv"), 0)
    mask = Between("at", "2024-01-08", "2024-01-09").mask(chunk).tolist()
    assert mask[:4] == [False, True, True, False]
    assert not any(mask[4:])
    late = Between("at", "2024-01-08 12:00").mask(chunk).tolist()
    assert late[:4] == [False, False, True, True]


def test_numbers_in_text_may_be_missing():
    batch = pa.record_batch({"day": ["21", "", "NA", " 25 ", None]})
    mask = Between("day", 20, 30).mask(Chunk(batch, Path("a.csv"), 0))
    assert mask.tolist() == [True, False, False, True, False]


def test_rows_of_nobody_are_drawn_singly():
    users = [None, "", "u", "v"] * 500
    chunk = Chunk(pa.record_batch({"user": users}), Path("a.csv"), 0)
    masks = [Share(a, b, by="user").mask(chunk) for a, b in ((0, 0.5), (0.5, 1))]
    assert (masks[0] ^ masks[1]).all()
    for user in ("u", "v"):
        assert len({bool(m) for m, own in zip(masks[0], users, strict=True) if own == user}) == 1
    assert 0.4 < masks[0][[not user for user in users]].mean() < 0.6


def test_numbers_are_equal_in_every_type():
    columns = ([1, 0, 2], [1.0, 0.0, 2.5], [1.0, None, 0.0], ["1", "0", "1.0"])
    found = []
    for column in columns:
        chunk = Chunk(pa.record_batch({"fold": column}), Path("a.parquet"), 0)
        found += [OneOf("fold", [value]).mask(chunk).tolist() for value in (1, 1.0, np.float32(1))]
    wanted = [[True, False, False]] * 9 + [[True, False, False], *[[True, False, True]] * 2]
    assert found == wanted
    with pytest.raises(ValueError, match="both be numbers or both be times"):
        Between("fold", 1, "2024-01-01")


@pytest.mark.parametrize(
    "bound",
    ["monday", "", "today", pd.NaT, "20240131", "2024-01-08 18:00+02:00", dt.datetime.now(dt.UTC)],
)
def test_a_bound_that_is_no_date_of_the_columns_zone(bound):
    with pytest.raises(ValueError, match=r"a time such as.*without a zone\. Received: low="):
        Between("at", bound)


def test_dates_in_a_form_of_their_own_are_told():
    batch = pa.record_batch({"at": ["1/2/2024"]})
    with pytest.raises(DataError, match="must hold times"):
        Between("at", "2024-01-01").mask(Chunk(batch, Path("a.csv"), 0))


DAYS = ["2024-01-01", "2024-01-01", "2024-01-02", None]
TIMES = {
    "text": DAYS,
    "date": pd.to_datetime(DAYS).date,
    "timestamp": pd.to_datetime(DAYS),
    "zone": pd.to_datetime(DAYS).tz_localize("Asia/Tokyo"),
}


@pytest.mark.parametrize("kind", TIMES)
def test_days_of_every_type(tmp_path, kind):
    days = [day if day == day else None for day in TIMES[kind]] if kind == "date" else TIMES[kind]
    pd.DataFrame({"row": range(4), "day": days}).to_parquet(tmp_path / "a.parquet")

    def rows(where):
        features = rk.FeatureSet([rk.Categorical("row", num_ids=9)])
        tables = Files(tmp_path, features, where=where).tables(9)
        return [row for table in tables for row in table["feature/row"].to_pylist()]

    assert rows(OneOf("day", ["2024-01-01"])) == [0, 1]
    assert rows(OneOf("day", ["2024-01-02", "2024-01-01"])) == [0, 1, 2]
    assert rows(Between("day", "2024-01-01", "2024-01-02")) == [0, 1]
    assert rows(Between("day", dt.date(2024, 1, 2))) == [2]
    assert rows(Between("day", high="2024-01-01 00:00:00.000001")) == [0, 1]
    if kind in ("timestamp", "zone"):
        assert rows(OneOf("day", ["2024-01-02T00:00"])) == [2]
        with pytest.raises(DataError, match="timestamps, which read as '2024-01-01 00:00:00"):
            rows(OneOf("day", ["1 January"]))
    if kind != "text":
        with pytest.raises(DataError, match=r"'day': The column must hold numbers.*'2024-01-31'"):
            rows(Between("day", 20))


def test_bounds_and_their_columns():
    with pytest.raises(ValueError, match=r"`low` must be a number or a time.*low='yesterday'"):
        Between("day", "yesterday")
    chunk = Chunk(pa.RecordBatch.from_pydict({"day": [1, 2]}), Path("a"), 0)
    with pytest.raises(DataError, match=r"must hold times.*int64, and bounds may be numbers"):
        Between("day", "2024-01-01").mask(chunk)
    flags = Chunk(pa.RecordBatch.from_pydict({"x": [True, False]}), Path("a"), 0)
    assert OneOf("x", [True]).mask(flags).tolist() == [True, False]


@pytest.mark.parametrize("values", ["train", ["train", None], [float("nan")]])
def test_values_that_no_row_can_have_are_refused(values):
    with pytest.raises(ValueError, match="`values` must be a list of values, none of them missing"):
        OneOf("part", values)


def test_bounds_that_no_row_can_be_between_are_refused():
    with pytest.raises(ValueError, match=r"`high` must be a number or a time. Received: high=nan"):
        Between("row", 1, float("nan"))
    for begin, end in ((0.5, 0.2), (-0.1, 0.5), (0.5, 1.5), (float("nan"), 1)):
        with pytest.raises(ValueError, match=r"0 <= begin <= end <= 1. Received: begin="):
            Share(begin, end)
