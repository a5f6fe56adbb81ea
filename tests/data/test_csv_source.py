"""CSV and TSV files."""

import json

import pytest

import rankup_keras as rk
from rankup_keras.data import BadRows, CsvOptions, DataError, Files
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


def test_a_line_of_wrong_width_that_is_no_text_is_counted_as_others_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"user,price\nu,1\n\x8e,2,3\nv\xff,3\n\x8e\n")
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=9), rk.Numeric("price")])
    bad = BadRows("skip", path=tmp_path / "bad.jsonl")
    (table,) = Files(path, features, bad_rows=bad).tables(9)
    assert table.num_rows == 2
    records = [json.loads(line) for line in bad.path.read_text().splitlines()]
    assert [(r["line"], r["reason"][:22]) for r in records] == [
        (3, "The line has 3 values,"), (5, "The line has 1 values,"),
    ]  # fmt: skip


def test_a_header_that_csv_cannot_be(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"us\rer,price\nu,1\n")
    features = rk.FeatureSet([rk.Numeric("price")])
    with pytest.raises(DataError, match=r"a\.csv, line 1: The header cannot be read: new-line"):
        Files(tmp_path / "a.csv", features)
