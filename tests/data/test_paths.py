"""Files, folders and patterns."""

import pytest

from rankup_keras.data import DataError, Files
from rankup_keras.data.paths import resolve_paths
from tests.helpers.data_files import (
    make_columns,
    make_features,
    write_parquet,
)


def test_folders_patterns_and_lists(tmp_path):
    columns = make_columns(30)
    for name in ("2024/b.parquet", "2024/a.parquet", "c.parquet", "_SUCCESS"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if name == "_SUCCESS":
            path.write_text("")
        else:
            write_parquet(path, columns)
    features = make_features()
    names = [path.name for path in Files(tmp_path, features).paths]
    assert names == ["a.parquet", "b.parquet", "c.parquet"]
    names = [
        p.name for p in Files([str(tmp_path / "2024/*"), tmp_path / "c.parquet"], features).paths
    ]
    assert names == ["a.parquet", "b.parquet", "c.parquet"]


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("gs://logs/day=1/*.parquet", "gcsfuse"),
        ("s3://logs/a.parquet", "mount-s3"),
        ("https://a.example/b.csv", "Copy them to this machine"),
    ],
)
def test_remote_paths_are_refused_with_what_would_work(path, remedy):
    with pytest.raises(DataError, match=remedy):
        Files(path, make_features())


def test_a_file_address_is_a_path(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", make_columns(10))
    assert Files(f"file://{path}", make_features()).paths == [path]


def test_a_file_and_a_link_to_it_are_read_once(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "a.parquet", make_columns(30))
    (tmp_path / "latest.parquet").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    found = Files(
        [tmp_path, "a.parquet", tmp_path / ".." / tmp_path.name / "a.parquet"], make_features()
    )
    assert [str(p) for p in found.paths] == [str(path)]


def test_patterns_that_fit_folders_and_paths_in_sets_and_bytes(tmp_path):
    written = []
    for day in ("day=2", "day=1"):
        (tmp_path / day).mkdir()
        written.append(write_parquet(tmp_path / day / "a.parquet", make_columns(10)))
    assert resolve_paths(tmp_path / "day=*") == written[::-1]
    assert resolve_paths(set(written)) == written[::-1]
    assert resolve_paths(bytes(written[0])) == written[:1]


@pytest.mark.parametrize("paths", ["", [], [""]])
def test_no_path_is_not_the_working_directory(tmp_path, monkeypatch, paths):
    write_parquet(tmp_path / "a.parquet", make_columns(10))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="No file is given"):
        resolve_paths(paths)
