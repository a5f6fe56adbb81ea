"""Parquet files."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.data import Between, DataError, Files, OneOf
from tests.helpers.data_files import (
    expect,
    make_columns,
    make_features,
    read,
    write_parquet,
)


def test_parquet(tmp_path):
    columns = make_columns()
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=120)
    files = Files(path, make_features(), ["click"])
    assert len(files.units) == 5
    expect(read(files), columns)


def test_columns_of_one_name_are_refused_where_they_are_wanted(tmp_path):
    arrays = [pa.array(["a"]), pa.array(["b"]), pa.array([3])]
    pq.write_table(pa.Table.from_arrays(arrays, ["item", "user", "item"]), tmp_path / "a.parquet")
    (columns,) = Files(tmp_path, rk.FeatureSet([rk.Categorical("user")])).dataset(1)
    assert columns["user"].numpy().tolist() == [b"b"]
    for features, where in (("item", []), ("user", [OneOf("item", ["a"])])):
        with pytest.raises(DataError, match="'item': The column is there 2 times"):
            Files(tmp_path, rk.FeatureSet([rk.Categorical(features)]), where=where)


def test_old_times_of_96_bits_keep_their_years(tmp_path):
    times = [dt.datetime(year, 12, 31) for year in (9999, 2024, 1, 2999)]
    table = pa.table({"at": pa.array(times, pa.timestamp("us")), "u": list("abcd")})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    features = rk.FeatureSet([rk.Categorical("u", vocabulary=list("abcd"))])
    files = Files(tmp_path, features, where=[Between("at", "2024-01-01")])
    (encoded,) = files.dataset(8, encoded=True)
    assert encoded["encoded_ids"].numpy().tolist() == [[2], [3], [5]]
