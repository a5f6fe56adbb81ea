import numpy as np
import pytest

from rankup_keras.datasets.movielens_files import read_tables
from tests.helpers import movielens


@pytest.fixture(params=["grouplens", "recbole"])
def folder(request, tmp_path):
    write = {"grouplens": movielens.write_grouplens, "recbole": movielens.write_recbole}
    return write[request.param](tmp_path / "ml-100k")


def test_either_form_gives_the_same_tables(folder):
    tables = read_tables(folder)
    assert tables.ratings.tolist() == [list(row) for row in movielens.RATINGS]
    assert tables.users.tolist() == [list(map(str, user)) for user in movielens.USERS]
    assert tables.items.tolist() == [
        ["11", "Toy Story", "1995", "Animation|Children's|Comedy"],
        ["12", "Misérables, Les", "1995", "Drama|Musical"],
        ["13", "Land Before Time III", "1995", "Animation"],
        ["14", "unknown", "", "unknown"],
    ]


def test_either_form_has_the_same_checksums(tmp_path):
    a = read_tables(movielens.write_grouplens(tmp_path / "a"))
    b = read_tables(movielens.write_recbole(tmp_path / "b"))
    assert a.checksums() == b.checksums()


@pytest.mark.parametrize("table", ["ratings", "users", "items"])
def test_a_change_shows_in_the_checksum_of_its_table(folder, table):
    tables = read_tables(folder)
    before = tables.checksums()
    getattr(tables, table)[0, 1] = 99
    after = tables.checksums()
    assert [name for name in before if before[name] != after[name]] == [table]


def test_reordered_ratings_show_in_the_checksum(folder):
    tables = read_tables(folder)
    before = tables.checksums()
    tables.ratings[[0, 1]] = tables.ratings[[1, 0]]
    assert tables.checksums() != before


def test_archives_and_the_folder_around(folder, tmp_path):
    expected = read_tables(folder).checksums()
    assert read_tables(tmp_path).checksums() == expected
    archive = movielens.write_zip(tmp_path / "ml-100k.zip", folder, "ml-100k")
    assert read_tables(archive).checksums() == expected


def test_windows_line_ends(folder):
    expected = read_tables(folder).checksums()
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_tables(folder).checksums() == expected


def test_missing_files(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_tables(tmp_path / "nowhere")
    next(folder.iterdir()).unlink()
    with pytest.raises(FileNotFoundError, match=r"it must hold u\.data, u\.user, u\.item or"):
        read_tables(folder)


def test_truncated_archive(folder, tmp_path):
    archive = movielens.write_zip(tmp_path / "ml-100k.zip", folder, "ml-100k")
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole zip archive"):
        read_tables(archive)


def test_damaged_archive(folder, tmp_path):
    archive = movielens.write_zip(tmp_path / "ml-100k.zip", folder, "ml-100k")
    data = bytearray(archive.read_bytes())
    # Inside the first member's compressed bytes, past its header.
    data[80:90] = bytes(10)
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"is damaged: "):
        read_tables(archive)


def test_line_cut_short_is_named(tmp_path):
    folder = movielens.write_grouplens(tmp_path / "a")
    data = (folder / "u.data").read_bytes()
    (folder / "u.data").write_bytes(data[:-12])
    with pytest.raises(ValueError, match=r"u\.data, line 10: 3 values, not 4"):
        read_tables(folder)


def test_column_missing_from_a_typed_header(tmp_path):
    folder = movielens.write_recbole(tmp_path / "a")
    file = folder / "ml-100k.inter"
    file.write_text(file.read_text().replace("timestamp:", "time:"))
    with pytest.raises(ValueError, match=r"ml-100k\.inter lacks the columns \['timestamp'\]"):
        read_tables(folder)


def test_rating_that_is_no_number(tmp_path):
    folder = movielens.write_grouplens(tmp_path / "a")
    file = folder / "u.data"
    file.write_text(file.read_text().replace("\t5\t", "\tfive\t", 1))
    with pytest.raises(ValueError, match=r"ids, ratings and times are numbers: .*five"):
        read_tables(folder)


def test_user_without_attributes(tmp_path):
    folder = movielens.write_grouplens(tmp_path / "a")
    file = folder / "u.user"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(ValueError, match=r"the table of users lacks: \['3'\]"):
        read_tables(folder)


def test_columns_of_a_typed_header_in_another_order(tmp_path):
    folder = movielens.write_recbole(tmp_path / "a")
    expected = read_tables(folder).checksums()
    file = folder / "ml-100k.inter"
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    file.write_text("".join("\t".join(line[::-1]) + "\n" for line in lines))
    tables = read_tables(folder)
    assert tables.checksums() == expected
    assert tables.ratings.dtype == np.int64
