"""CSV and TSV files."""

import bz2
import json
import lzma

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


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends(tmp_path, end):
    lines = ["\ufeffclick,item", "1,a", '0,"b, c"', "x,c", "1,d", ""]
    (tmp_path / "a.csv").write_bytes(end.join(lines).encode())
    features = rk.FeatureSet([rk.Categorical("item")])
    bad = BadRows("skip", path=tmp_path / "bad.jsonl")
    ((columns, labels),) = Files(tmp_path / "a.csv", features, ["click"], bad_rows=bad).dataset(9)
    assert columns["item"].numpy().tolist() == [b"a", b"b, c", b"d"]
    assert labels["click"].numpy().tolist() == [1, 0, 1]
    assert '"line": 4' in (tmp_path / "bad.jsonl").read_text()


def test_columns_of_one_name_are_refused_where_they_are_wanted(tmp_path):
    (tmp_path / "a.csv").write_text("item,user,item\na,b,c\n")
    for name in ("user", "item"):
        features = rk.FeatureSet([rk.Categorical(name, hash_buckets=9)])
        if name == "user":
            (columns,) = Files(tmp_path / "a.csv", features).dataset(1)
            assert columns["user"].numpy().tolist() == [b"b"]
            continue
        with pytest.raises(DataError, match="'item': The column is there 2 times"):
            Files(tmp_path / "a.csv", features)


def test_lists_in_brackets_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("tags\na|b\n\"['a', 'b']\"\n")
    features = rk.FeatureSet([rk.Categorical("tags", hash_buckets=9, max_length=2)])
    with pytest.raises(DataError, match=r"line 3, column 'tags': .*is a list in brackets"):
        rk.data.scan(Files(tmp_path / "a.csv", features))


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


def test_other_compressions_and_encodings(tmp_path):
    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=5)])
    text = b"item\na\nb\n"
    path = tmp_path / "a.csv.bz2"
    path.write_bytes(bz2.compress(text[:7]) + bz2.compress(text[7:]))
    (table,) = Files(path, features).tables(9)
    assert table.num_rows == 2
    for content, message in (
        (lzma.compress(text), "compressed by xz"),
        (b"PK\x03\x04rest", "a zip archive or a spreadsheet"),
        (text.decode().encode("utf-16-le"), "UTF-16 or UTF-32"),
        (text.decode().encode("utf-32"), "UTF-16 or UTF-32"),
    ):
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(DataError, match=message):
            Files(tmp_path / "a.csv", features)


def test_a_name_in_another_case_or_with_spaces_is_the_nearest(tmp_path):
    (tmp_path / "a.csv").write_text("ID, Item\n1, a\n")
    for name, nearest in (("item", " Item"), ("id", "ID")):
        with pytest.raises(DataError, match=f"The nearest is '{nearest}'"):
            Files(tmp_path / "a.csv", rk.FeatureSet([rk.Categorical(name)]))


def test_hexadecimal_ids_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("item\n5\n0xffffffffffffffff\n")  # pyarrow reads -1
    features = rk.FeatureSet([rk.Categorical("item", dtype="int64")])
    with pytest.raises(DataError, match=r"line 3.*'0xffffffffffffffff' is not a 64-bit integer"):
        rk.data.adapt(features, Files(tmp_path / "a.csv", features))
