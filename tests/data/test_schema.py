"""What the columns of files become."""

import numpy as np
import pyarrow as pa
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


def test_a_column_that_only_folder_names_have(tmp_path):
    folder = tmp_path / "user=7"
    folder.mkdir()
    path = write_parquet(folder / "a.parquet", {"price": [1.0], "click": [0]})
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5), rk.Numeric("price")])
    with pytest.raises(DataError, match="Folder names such as 'user=7' are not read"):
        Files(path, features, ["click"])


def test_a_rule_for_labels_fits_the_column(tmp_path):
    """Parquet, rows in memory and datasets agree on which values of a boolean are positive."""
    columns = {"user": ["a", "b", "a"], "click": [True, False, True]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    task = rk.Task("click", positive="true")
    _, labels = next(iter(Files(path, features, [task]).dataset(3)))
    assert np.ravel(labels["click"]).tolist() == [1, 0, 1]
    model = rk.DCNv2(features, [task], embedding_dim=2)
    model.compile()
    frame = pa.table(columns).to_pandas()
    datasets = tf.data.Dataset.from_tensor_slices(columns).batch(3)
    found = [model.evaluate(rows, verbose=0) for rows in (columns, frame, datasets)]
    wanted = model.evaluate({"user": columns["user"]}, np.array([1, 0, 1]), verbose=0)
    np.testing.assert_allclose(found, [wanted] * 3, rtol=1e-6)
    message = "`positive` of task 'click' must fit values of the column, whose type is bool"
    with pytest.raises(DataError, match=message):
        Files(path, features, [rk.Task("click", positive="yes")])
