"""CSV and TSV files."""

import pytest

from rankup_keras.data import CsvOptions, Files
from tests.helpers.data_files import (
    expect,
    make_columns,
    make_features,
    read,
    write_csv,
)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.tsv"])
def test_text(tmp_path, name):
    columns = make_columns()
    del columns["vector"]
    path = write_csv(tmp_path / name, columns, "\t" if "tsv" in name else ",")
    expect(read(Files(path, make_features(vector=False), ["click"])), columns)


def test_text_without_header_with_another_delimiter(tmp_path):
    columns = make_columns(50)
    del columns["vector"]
    path = write_csv(tmp_path / "a.csv", columns, "::", header=False)
    options = CsvOptions(header=False, columns=list(columns), delimiter="::")
    expect(read(Files(path, make_features(vector=False), ["click"], csv=options)), columns)
