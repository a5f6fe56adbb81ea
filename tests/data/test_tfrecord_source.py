"""TFRecord files."""

import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.data import DataError, Files
from tests.helpers.data_files import (
    expect,
    make_columns,
    make_features,
    read,
    write_tfrecord,
)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_tfrecord(tmp_path, name):
    columns = make_columns()
    path = write_tfrecord(tmp_path / name, columns)
    expect(read(Files(path, make_features(), ["click"])), columns)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_optional_feature_may_be_missing_in_batches_and_files(tmp_path, encoded):
    rows = {"item": ["x", "y", "x"], "click": [1, 0, 1]}
    tags = {"city": ["rome", None, None], "tags": [["a", "b"], [], ["a"]]}
    write_tfrecord(tmp_path / "a.tfrecord", rows)
    write_tfrecord(tmp_path / "b.tfrecord", {**rows, **tags})
    write_tfrecord(tmp_path / "c.tfrecord", {**rows, "tags": [["b"], ["a"], []]})
    features = rk.FeatureSet(
        [
            rk.Categorical("item", vocabulary=["x"]),
            rk.Categorical("city", vocabulary=["rome"]),
            rk.Categorical("tags", vocabulary=["a", "b"], max_length=2),
        ]
    )
    dataset = Files(tmp_path, features, ["click"]).dataset(2, encoded=encoded)
    dataset = dataset if encoded else features.encode(dataset)
    found = np.concatenate([columns["encoded_ids"] for columns, _ in dataset])
    assert found[:, 1].tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0]
    assert found[:, 2:].tolist()[3:] == [[2, 3], [0, 0], [2, 0], [3, 0], [2, 0], [0, 0]]


def test_a_feature_has_one_type(tmp_path):
    write_tfrecord(tmp_path / "a.tfrecord", {"item": ["x"]})
    write_tfrecord(tmp_path / "b.tfrecord", {"item": [3]})
    with pytest.raises(DataError, match=r"b.tfrecord, column 'item': The feature is of type int64"):
        Files(tmp_path, rk.FeatureSet([rk.Categorical("item")]))
