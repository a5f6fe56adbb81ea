"""What is written is whole or not there, and what is wrong is said with its place."""

import errno
import os
import pathlib

import pytest

from rankup_keras import durable

FULL = pathlib.Path("/dev/full")


def test_text_is_written_whole(tmp_path):
    path = tmp_path / "made" / "a.txt"
    durable.write_text(path, "one")
    durable.write_text(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.skipif(not FULL.exists(), reason="the system has no full device")
def test_a_full_device_is_named(tmp_path):
    path = tmp_path / "log.txt"
    path.symlink_to(FULL)
    with pytest.raises(OSError, match="No space left") as caught:
        durable.append_line(path, "x")
    assert durable.is_full(caught.value)
    assert caught.value.filename == str(path)


def test_half_a_line_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    durable.append_line(path, "one")
    write = os.write

    class Half:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, text):
            write(self.file.fileno(), text[:2].encode())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened = pathlib.Path.open
    monkeypatch.setattr(pathlib.Path, "open", lambda *a, **k: Half(opened(*a, **k)))
    with pytest.raises(OSError, match="No space left"):
        durable.append_line(path, "two")
    monkeypatch.undo()
    assert path.read_text() == "one\n"


def test_a_folder_that_cannot_be_written(tmp_path):
    durable.check_writable(tmp_path / "not" / "there")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        durable.check_writable(tmp_path / "file")


def test_a_sealed_folder_knows_its_damage(tmp_path):
    (tmp_path / "a").write_text("12")
    assert "cannot be read" in durable.find_damage(tmp_path)
    durable.seal(tmp_path)
    assert durable.find_damage(tmp_path) is None
    (tmp_path / "a").write_text("13")
    assert "checksum" in durable.find_damage(tmp_path)
    (tmp_path / "a").write_text("1")
    assert "1 bytes instead of 2" in durable.find_damage(tmp_path)
