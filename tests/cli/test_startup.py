"""The command's start: help at once, and nothing of TensorFlow's log in its output."""

import os
import pathlib
import subprocess
import sys

import pytest

import rankup_keras as rk

HEAVY = ("tensorflow", "keras", "numpy", "pandas", "matplotlib", "pyarrow")
pytestmark = pytest.mark.processes


def run(
    *arguments: str,
    python: tuple[str, ...] = (),
    program: tuple[str, ...] = ("-m", "rankup_keras.cli"),
) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, *python, *program, *arguments],
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def imported(done: subprocess.CompletedProcess) -> set[str]:
    return {
        line.rsplit("|", 1)[1].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time")
    }


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["trian"]])
def test_help_imports_nothing_heavy(arguments):
    found = imported(run(*arguments, python=("-X", "importtime")))
    assert "typer" in found
    assert not found & {*HEAVY}


@pytest.mark.parametrize("command", ["train", "update"])
def test_what_is_wrong_with_a_file_is_told_without_tensorflow(tmp_path, command):
    path = tmp_path / "a.yaml"
    path.write_text(
        "data: {path: a.csv, split: {train: 0.9, test: 0.2}}\n"
        "tasks: [price]\n"
        "features:\n"
        "  - {type: numeric, name: price}\n"
        "  - {type: categorical, name: user, hash_bucket: 10}\n"
        "model: {type: RankUp, token_dim: wide}\n"
    )
    more = ["--data", "b.csv"] if command == "update" else []
    done = run(command, str(path), *more, python=("-X", "importtime"))
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if line.startswith(str(path))]
    assert [line.removeprefix(f"{path}:").split(":")[0] for line in told] == ["1", "5", "6"]
    assert "The nearest valid name is 'hash_buckets'." in told[1]
    assert not imported(done) & {*HEAVY}


def test_version():
    assert run("--version").stdout == f"rankup-keras {rk.__version__}\n"


def test_tensorflow_logs_nothing_and_keras_loads_nothing_that_is_of_no_use(tmp_path):
    (tmp_path / "a.csv").write_text("user,click\n" + "a,0\nb,1\na,1\nb,0\n" * 10)
    files = [str(tmp_path / name) for name in ("a.csv", "a.yaml")]
    code = (
        "import sys; from rankup_keras.cli import main\n"
        f"assert main(['init', {files[0]!r}, '--output', {files[1]!r}, '--json']) == 0\n"
        "found = {'keras', 'pyarrow', 'sklearn', 'matplotlib', 'scipy.stats'} & {*sys.modules}\n"
        "assert found == {'keras', 'pyarrow'}, found\n"
        "import matplotlib, sklearn"
    )
    done = run(program=("-c", code))
    assert done.stderr == ""
    assert done.returncode == 0
