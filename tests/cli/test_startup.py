"""The command's start: help at once, and nothing of TensorFlow's log in its output."""

import os
import pathlib
import subprocess
import sys

import pytest

import rankup_keras as rk

HEAVY = ("tensorflow", "keras", "numpy", "pandas", "matplotlib", "pyarrow")
pytestmark = pytest.mark.processes


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, *python, "-m", "rankup_keras.cli", *arguments],
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["trian"]])
def test_help_imports_nothing_heavy(arguments):
    done = run(*arguments, python=("-X", "importtime"))
    imported = {
        line.rsplit("|", 1)[1].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time")
    }
    assert "typer" in imported
    assert not imported & {*HEAVY}


def test_version():
    assert run("--version").stdout == f"rankup-keras {rk.__version__}\n"


def test_tensorflow_logs_nothing(tmp_path):
    done = run("train", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0].endswith("There is no such file.")
    assert len(done.stderr.splitlines()) == 2
