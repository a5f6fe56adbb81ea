"""What the columns of files become."""

import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.data import DataError, Files
from tests.helpers.data_files import (
    write_csv,
    write_parquet,
)


def test_types_come_from_the_file_where_a_feature_has_none(tmp_path):
    columns = {
        "text": ["a", "b"], "number": [1, 2], "gaps": [1.0, None], "date": ["x", "y"],
        "click": [0, 1],
    }  # fmt: skip
    features = rk.FeatureSet([rk.Categorical(n) for n in ("text", "number", "gaps")])
    files = Files(write_parquet(tmp_path / "a.parquet", columns), features, ["click"])
    spec = files.dataset(2).element_spec[0]
    assert {name: item.dtype for name, item in spec.items()} == {
        "text": tf.string, "number": tf.int64, "gaps": tf.int64,
    }  # fmt: skip
    files = Files(write_csv(tmp_path / "a.csv", columns), features, ["click"])
    assert {item.dtype for item in files.dataset(2).element_spec[0].values()} == {tf.string}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"users": ["a"], "price": [1.0]}, "There is no column 'user'. The nearest is 'users'"),
        ({"user": [1.5], "price": [1.0]}, "must hold strings. Received double"),
        ({"user": ["a"], "price": [[1.0]]}, "must have one value per row, not a list"),
        ({"user": ["a"], "price": [True]}, None),
    ],
)
def test_columns_that_no_feature_can_read(tmp_path, columns, message):
    path = write_parquet(tmp_path / "a.parquet", {**columns, "click": [0]})
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5), rk.Numeric("price")])
    if message is None:
        assert Files(path, features, ["click"]).targets
        return
    with pytest.raises(DataError, match=message):
        Files(path, features, ["click"])
