import os
import pathlib
import subprocess
import sys
import threading

import pytest

from rankup_keras.serving.exporting import version_directory as versions


def fill(place, text="content"):
    (place / "variables").mkdir()
    (place / "saved_model.pb").write_text(text)


def test_numbers_only(tmp_path):
    for name in ("1", "10", "9", ".exporting-x-1-2", "latest", "-3", "²"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file")
    assert versions.versions(tmp_path) == [1, 9, 10]
    assert versions.versions(tmp_path / "absent") == []
    assert versions.version_path(tmp_path) == tmp_path / "10"
    assert versions.version_path(tmp_path, 9) == tmp_path / "9"
    with pytest.raises(FileNotFoundError, match=r"one of \[1, 9, 10\]. Received: version=2"):
        versions.version_path(tmp_path, 2)
    with pytest.raises(FileNotFoundError, match="no version directory"):
        versions.version_path(tmp_path / "absent")


def test_next_number_and_nothing_left_behind(tmp_path):
    for expected in ("1", "2", "3"):
        with versions.unpublished_directory(tmp_path) as place:
            fill(place)
            assert versions.versions(tmp_path) == list(range(1, int(expected)))
            assert versions.publish(place).name == expected
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3"]


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with versions.unpublished_directory(tmp_path) as place:
            fill(place)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == []


def test_a_version_never_changes(tmp_path):
    with versions.unpublished_directory(tmp_path) as place:
        fill(place, "first")
        versions.publish(place, 7)
    with versions.unpublished_directory(tmp_path) as place:
        fill(place, "second")
        with pytest.raises(FileExistsError, match="version=7"):
            versions.publish(place, 7)
    assert (tmp_path / "7" / "saved_model.pb").read_text() == "first"
    with pytest.raises(FileExistsError, match=r"version=7, taken in .*\[7\]"):
        versions.check_destination(tmp_path, 7)
    for wrong in (-1, "3", 1.0, True):
        with pytest.raises(ValueError, match="`version` must be an integer"):
            versions.check_destination(tmp_path, wrong)


def test_racing_exports_take_different_numbers(tmp_path):
    taken, count = [], 12
    barrier = threading.Barrier(count)

    def one():
        with versions.unpublished_directory(tmp_path) as place:
            fill(place)
            barrier.wait()
            taken.append(versions.publish(place).name)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, taken)) == list(range(1, count + 1))


@pytest.mark.processes
def test_what_a_killed_export_left_is_swept_up(tmp_path):
    code = f"""
import importlib.util, os, signal
spec = importlib.util.spec_from_file_location("versions", {versions.__file__!r})
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
with module.unpublished_directory({str(tmp_path)!r}) as place:
    (place / "saved_model.pb").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    left = os.listdir(tmp_path)
    assert len(left) == 1
    assert left[0].startswith(".exporting")
    assert versions.versions(tmp_path) == []
    with versions.unpublished_directory(tmp_path) as place:
        # This process lives, so its own directory is left alone by others.
        versions.sweep(tmp_path)
        assert [pathlib.Path(p) for p in os.listdir(tmp_path)] == [pathlib.Path(place.name)]


def test_object_stores_are_refused():
    with pytest.raises(ValueError, match="local directory"):
        versions.check_destination("gs://bucket/model", None)
