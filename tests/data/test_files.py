"""Files as batches that `fit` takes."""

import pyarrow as pa
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


def test_columns_that_nothing_reads_may_differ(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"user": ["a"], "other": [1]})
    write_parquet(tmp_path / "b.parquet", {"user": ["b"], "other": ["x"]})
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    assert sum(t.num_rows for t in Files(tmp_path, features).tables(9)) == 2
    with pytest.raises(DataError, match="column 'other': The column is of type string here"):
        Files(tmp_path, features, extra="other")


def test_times_may_have_other_units_and_zones_in_other_files(tmp_path):
    day = 86_400 * 19_000
    kinds = [pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.date32()]
    for number, kind in enumerate(kinds):
        time = pa.array([day], pa.timestamp("s")).cast(kind)
        write_parquet(tmp_path / f"{number}.parquet", {"time": time})
    features = rk.FeatureSet([rk.Timestamp("time")])
    (columns,) = Files(tmp_path, features).dataset(9)
    assert columns["time"].numpy().tolist() == [day] * len(kinds)


def test_a_file_in_which_all_lists_are_empty_is_like_the_others(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"tags": [[], []]})
    write_parquet(tmp_path / "b.parquet", {"tags": [["x", "y"]]})
    write_parquet(tmp_path / "c.parquet", {"tags": pa.nulls(1)})
    features = rk.FeatureSet([rk.Categorical("tags", max_length=2)])
    files = Files(tmp_path, features)
    assert rk.data.adapt(features, files).rows == 4
    (columns,) = files.dataset(9, encoded=True)
    assert columns["encoded_ids"].numpy().tolist() == [[0, 0], [0, 0], [2, 3], [0, 0]]


def test_extra_columns_have_one_type_from_all_files(tmp_path):
    big = 2**40 + 1
    for number, (e, f, g) in enumerate(
        [
            (pa.array([1], pa.int32()), pa.array(["a"]).dictionary_encode(), pa.nulls(1)),
            (pa.array([big]), pa.array(["b"]), pa.array(["c"])),
        ]
    ):
        write_parquet(tmp_path / f"{number}.parquet", {"user": ["u"], "e": e, "f": f, "g": g})
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    (table,) = Files(tmp_path, features, extra=["e", "f", "g"]).tables(9)
    found = [table[f"extra/{name}"].to_pylist() for name in "efg"]
    assert found == [[1, big], ["a", "b"], [None, "c"]]


def test_one_task_may_stand_alone(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"user": ["a"], "click": [1]})
    features = rk.FeatureSet(rk.Categorical("user", hash_buckets=5))
    for task in ("click", rk.Task("click")):
        ((_, labels),) = Files(path, features, task).dataset(2)
        assert list(labels) == ["click"]
