"""How a text file is written, found by its first lines."""

import gzip

import pytest

from rankup_keras.cli.text_dialect import format_by_content, sniff
from rankup_keras.data.data_error import DataError

LINES = [f"u{i % 7};{i},{i % 10}5;yes" for i in range(30)]


def _sniffed(tmp_path, text, name="a.csv", given=None):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return sniff(path, "csv", given or {})[0]


def test_semicolons_and_decimal_commas(tmp_path):
    text = "\n".join(["user;price;click", *LINES])
    wanted = {"delimiter": ";", "decimal": ","}
    assert _sniffed(tmp_path, text) == wanted
    assert _sniffed(tmp_path, b"\xef\xbb\xbf" + text.encode()) == wanted
    assert _sniffed(tmp_path, gzip.compress(text.encode()), "a.csv.gz") == wanted


def test_two_lines_are_enough_for_a_delimiter(tmp_path):
    assert _sniffed(tmp_path, "user_id;campaign;click\nu1;c1;0\nu2;c2;1\n") == {"delimiter": ";"}


def test_tabs_in_a_csv_file(tmp_path):
    assert _sniffed(tmp_path, "a\tb,c\td\n1\tx,y\t2\n3\tz\t4\n") == {"delimiter": "\t"}


@pytest.mark.parametrize("head", ["1,u4,0.5", "0,u1,"])
def test_a_missing_header(tmp_path, head):
    lines = [f"{i % 2},u{i % 9},{i / 7}" for i in range(30)]
    found = _sniffed(tmp_path, "\n".join([head, *lines]))
    assert found == {"header": False, "columns": ["column_1", "column_2", "column_3"]}
    assert _sniffed(tmp_path, "\n".join(["label,user,price", *lines])) == {}


def test_what_is_given_is_kept(tmp_path):
    given = {"delimiter": ",", "header": False, "columns": ["a", "b"]}
    assert _sniffed(tmp_path, "x;1,5\ny;2,5\n", given=dict(given)) == given


def test_another_encoding(tmp_path):
    assert _sniffed(tmp_path, "name,y\ncafé,1\nbar,0\n".encode("latin-1"))["encoding"] == "latin-1"


def test_an_encoding_of_windows(tmp_path):
    assert _sniffed(tmp_path, "name,y\n5 €,1\nbar,0\n".encode("cp1252"))["encoding"] == "cp1252"
    assert _sniffed(tmp_path, b"name,y\n\x80\x81,1\nbar,0\n")["encoding"] == "latin-1"


def test_unknown_endings(tmp_path):
    for name, data, kind in (
        ("a.log", b"a,b\n1,2\n", "csv"),
        ("b.data", b"PAR1....", "parquet"),
        ("c.bin", b"\0\1", None),
        ("d.tsv", b"a\tb\n", "tsv"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        assert format_by_content(path) == kind


def test_thousands_separators_are_no_decimal_commas(tmp_path):
    english = "\n".join(["user\tsum\tn", *(f"u{i}\t{i + 1},{i + 100}\t{i}" for i in range(30))])
    assert "decimal" not in _sniffed(tmp_path, english)
    rows = [f"u{i};{i + 1}.{i + 100};{i + 1}.{i + 100},5" for i in range(30)]
    assert _sniffed(tmp_path, "\n".join(["user;n;sum", *rows]))["decimal"] == ","


@pytest.mark.parametrize(
    ("name", "content", "way"),
    [
        ("a.jsonl", b'{"user": 1}\n{"user": 2}', r"read_json\('a.jsonl', lines=True\)"),
        (
            "a.json",
            b'\xef\xbb\xbf[\n {"user": 1}]',
            r"read_json\('a.json'\).to_parquet\('a.parquet'",
        ),
        ("a.xlsx", b"PK\x03\x04\x14\x00", "zip archive, as those of Excel"),
    ],
)
def test_what_is_no_text_of_rows_is_told(tmp_path, name, content, way):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=way):
        format_by_content(tmp_path / name)


def test_notes_before_the_header_are_told(tmp_path):
    text = "\n".join(["# of the crm", "user;price;click", *LINES])
    with pytest.raises(DataError, match=r"'# of the crm', and those from line 2 on have [34]\."):
        _sniffed(tmp_path, text)
