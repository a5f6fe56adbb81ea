"""Files that change while a training reads them."""

import os

import pytest

import rankup_keras as rk
from rankup_keras.data import DataError, Files
from rankup_keras.data.fingerprints import differences, mark_of
from tests.helpers.cli_inputs import ROWS, csv, put


def rewrite_quietly(path):
    """Other content in the middle, of the same size and at the same time."""
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"u1", b"u2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: p.write_bytes(csv([*ROWS, "u1,1,1"])),
            "has changed since it was first read: 377 bytes",
        ),
        (lambda p: os.utime(p, ns=(0, 0)), "has changed .* written 1970"),
        (rewrite_quietly, "has changed"),
        (lambda p: p.unlink(), "a.csv: The file is gone"),
    ],
)
def test_a_change_between_epochs_is_an_error(tmp_path, change, message):
    path = put(tmp_path, "a.csv", csv())
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=9), rk.Numeric("price")])
    files = Files(path, features, ["click"])
    assert sum(table.num_rows for table in files.tables(16)) == len(ROWS)
    put(tmp_path, "b.csv", csv())  # that a folder grows is none
    assert sum(table.num_rows for table in files.tables(16)) == len(ROWS)
    change(path)
    with pytest.raises(DataError, match=message):
        next(files.tables(16))


def test_a_change_within_an_epoch_is_an_error_at_its_end(tmp_path):
    path = put(tmp_path, "a.csv", csv())
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=9)])
    tables = Files(path, features).tables(16)
    next(tables)
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match="has changed"):
        list(tables)


def test_a_file_that_vanishes_before_its_turn(tmp_path):
    paths = [put(tmp_path, f"{name}.csv", csv()) for name in "ab"]
    files = Files(paths, rk.FeatureSet([rk.Categorical("user", hash_buckets=9)]))
    files.units  # noqa: B018 (the list of files is made)
    paths[1].unlink()
    first, second = files.units
    assert list(files.chunks(first))
    with pytest.raises(DataError, match=r"b\.csv: The file is gone"):
        list(files.chunks(second))


def test_differences_are_told_by_file(tmp_path):
    path = put(tmp_path, "a.csv", b"1")
    before = {"train": [["a", *mark_of(path)], ["b", 1, 0, 0]]}
    assert differences(before, before) == []
    path.write_bytes(b"23")
    found = differences(before, {"train": [["a", *mark_of(path)], ["c", 1, 0, 0]]})
    assert found[0].startswith("a had 1 bytes, written ")
    assert "and has 2 bytes" in found[0]
    assert found[1:] == ["b is missing", "c is new"]
