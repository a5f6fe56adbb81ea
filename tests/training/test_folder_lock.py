"""A second process is kept out, for as long as the first one lives."""

import pathlib
import subprocess
import sys

import pytest

from rankup_keras.training.folder_lock import FolderInUseError, FolderLock

# Without the package, whose import takes long.
PROGRAM = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("folder_lock", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
lock = module.FolderLock(sys.argv[2])
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""
SOURCE = pathlib.Path(sys.modules[FolderLock.__module__].__file__)


def test_another_process_is_named_and_its_end_frees_the_folder(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(SOURCE), str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(FolderInUseError, match=rf"in use: process {process.pid} on .* since 2"):
            FolderLock(tmp_path / "run").acquire()
        process.kill()
    with FolderLock(tmp_path / "run") as lock:
        # The process that holds it may take it again.
        FolderLock(tmp_path / "run").acquire()
        assert (lock.folder / "training.owner.json").exists()


def test_nothing_stays_of_a_run_that_came_to_nothing(tmp_path):
    with FolderLock(tmp_path / "runs" / "a"):
        assert (tmp_path / "runs" / "a").is_dir()
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path / "runs" / "a"):
        (tmp_path / "runs" / "a" / "model").touch()
    assert sorted(p.name for p in (tmp_path / "runs" / "a").iterdir()) == ["model", "training.lock"]
