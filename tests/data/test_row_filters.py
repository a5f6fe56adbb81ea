"""Filters on rows."""

from rankup_keras.data import Between, Files, OneOf, Share
from tests.helpers.data_files import (
    make_columns,
    make_features,
    read,
    write_parquet,
)


def test_conditions_on_rows(tmp_path):
    columns = make_columns(400)
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=70)

    def rows(*where):
        return read(Files(path, make_features(), ["click"], where=where))[0]["row"].tolist()

    assert rows(OneOf("part", ["test"])) == [r for r in range(400) if r % 10 >= 8]
    assert rows(OneOf("row", [3, "5"])) == [3, 5]
    assert rows(Between("row", 10, 13)) == [10, 11, 12]
    shares = [rows(Share(a, b, seed=3)) for a, b in ((0, 0.5), (0.5, 0.75), (0.75, 1))]
    assert sorted(row for part in shares for row in part) == columns["row"]
    assert 160 < len(shares[0]) < 240
    assert rows(Share(0, 0.5, seed=4)) != shares[0]
    halves = [rows(Share(a, b, by="user")) for a, b in ((0, 0.5), (0.5, 1))]
    users = [{columns["user"][row] for row in half} for half in halves]
    assert users[0]
    assert users[1]
    assert not users[0] & users[1]


def test_a_share_is_the_same_however_the_file_is_cut(tmp_path):
    columns = make_columns(100)
    found = []
    for size, name in ((100, "a"), (7, "b")):
        folder = tmp_path / name
        folder.mkdir()
        path = write_parquet(folder / "x.parquet", columns, row_group_size=size)
        files = Files(path, make_features(), ["click"], where=[Share(0.2, 0.6)])
        found.append(read(files)[0]["row"].tolist())
    assert found[0] == found[1]
