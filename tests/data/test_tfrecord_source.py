"""TFRecord files."""

import pytest

from rankup_keras.data import Files
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
