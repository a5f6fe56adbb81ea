"""`rankup-keras train` killed with SIGKILL, and gone on with as if nothing had happened."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from rankup_keras.cli import main
from rankup_keras.cli.settings import Training
from rankup_keras.cli.training import epoch_callbacks
from rankup_keras.training.resume_store import CheckpointStore
from tests.helpers.runs import results, write_project


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    write_project(folder)
    return folder


def _start(folder, *arguments):
    command = [sys.executable, "-m", "rankup_keras.cli", "train", "ads.yaml", *arguments]
    root = pathlib.Path(__file__).parents[2]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _newest(run):
    names = [path.name for path in (run / "checkpoints").glob("checkpoint-*")]
    return max((int(name.removeprefix("checkpoint-")) for name in names), default=-1)


@pytest.mark.parametrize(
    ("fresh", "stops_after", "draws_after"),
    [(None, 3, []), ("always", 3, [(None, 1)]), ("when_worse", 4, [("val_ne", 3)])],
)
def test_what_ends_an_epoch(fresh, stops_after, draws_after):
    stopping = {"monitor": "val_ne", "mode": "min", "patience": 2, "patience_steps": 5}
    training = Training(batch_size=8, early_stopping=stopping, fresh_tables=fresh)
    keep, stop, *rest = epoch_callbacks(training, rows=16, best="best.keras")  # of 2 steps each
    assert [keep.monitor, keep.save_best_only, stop.monitor] == ["val_ne", True, "val_ne"]
    assert stop.patience == stops_after
    assert [(callback.monitor, callback.patience) for callback in rest] == draws_after
    alone = Training(fresh_tables="always" if fresh == "always" else None)
    assert len(epoch_callbacks(alone, rows=16, best="best.keras")) == (fresh == "always")


class Stopped(BaseException):
    """Ends a command in this process as a signal does: nothing catches it."""


def _write_until_17(store, *args, write=CheckpointStore.write, **kwargs):
    write(store, *args, **kwargs)
    if store.numbers()[-1] >= 17:
        raise Stopped


@pytest.fixture(scope="module")
def resumed(place):
    """Killed in the middle of the first epoch, stopped in a later one; then left to its end."""
    run = place / "runs/killed"
    process = _start(place, "--run", str(run))
    end = time.monotonic() + 300
    while _newest(run) < 4:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    command = ["train", "ads.yaml", "--run", str(run), "--resume", "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        with patch.context() as stopping:
            stopping.setattr(CheckpointStore, "write", _write_until_17)
            with pytest.raises(Stopped):
                main(command)
        assert not (run / "model.keras").exists()
        assert main(command) == 0
    return run


def test_a_killed_run_ends_as_one_that_was_not(place, resumed, monkeypatch):
    monkeypatch.chdir(place)
    whole = place / "runs/whole"
    assert main(["train", "ads.yaml", "--run", str(whole), "--quiet"]) == 0
    assert results(resumed) == results(whole)


def test_other_settings_are_refused(place, resumed, capfd, monkeypatch):
    monkeypatch.chdir(place)
    command = ["train", "ads.yaml", "--run", str(resumed), "--resume", "--quiet"]
    assert main([*command, "--set", "training.batch_size=32"]) == 4
    said = capfd.readouterr().err
    assert "training.batch_size was 16 and is 32" in said
    assert "--run" in said


def test_nothing_there_to_resume(place, capfd, monkeypatch):
    monkeypatch.chdir(place)
    assert main(["train", "ads.yaml", "--run", "runs/none", "--resume", "--quiet"]) == 4
    assert "holds no run. Train without --resume" in capfd.readouterr().err
    assert not pathlib.Path("runs/none").exists()
