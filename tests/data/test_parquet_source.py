"""Parquet files."""

from rankup_keras.data import Files
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
