"""Files as batches that `fit` takes."""

import pytest

import rankup_keras as rk
from rankup_keras.data import DataError, Files
from tests.helpers.data_files import (
    make_columns,
    make_features,
    write_parquet,
)


def test_weights_come_third(tmp_path):
    columns = {"user": ["a", "b"], "click": [0, 1], "w": [0.5, 2.0]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    ((_, _, weights),) = Files(path, features, ["click"], weight="w").dataset(2)
    assert weights.numpy().tolist() == [0.5, 2.0]


def test_batches_have_their_size_and_number(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", make_columns(100), row_group_size=33)
    files = Files(path, make_features(), ["click"])
    assert [len(c["row"]) for c, _ in files.dataset(40)] == [40, 40, 20]
    assert [len(c["row"]) for c, _ in files.dataset(40, drop_remainder=True)] == [40, 40]
    rk.data.scan(files)
    assert int(files.dataset(40).cardinality()) == 3


def test_columns_must_have_one_type_in_all_files(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"user": ["a"], "n": [1], "click": [0]})
    write_parquet(tmp_path / "b.parquet", {"user": [None], "n": [1.5], "click": [0]})
    features = rk.FeatureSet([rk.Categorical("user", dtype="string"), rk.Numeric("n")])
    assert sum(t.num_rows for t in Files(tmp_path, features, ["click"]).tables(9)) == 2
    write_parquet(tmp_path / "c.parquet", {"user": [5], "n": [1], "click": [0]})
    with pytest.raises(DataError, match=r"type int64 here and of type string in .*a\.parquet"):
        Files(tmp_path, features, ["click"])
