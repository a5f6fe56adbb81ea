"""The files of a run folder."""

import json

import pytest

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.run_folder import MetricsLog, RunFolder


def test_metrics_are_lines_of_json_and_of_the_log(tmp_path):
    run = RunFolder(tmp_path)
    log = MetricsLog(run)
    assert run.epochs() == 0
    log.on_epoch_end(0, {"loss": 0.5, "val_auc": float("nan")})
    log.on_epoch_end(1, {"loss": 0.25})
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert lines == [{"epoch": 1, "loss": 0.5, "val_auc": None}, {"epoch": 2, "loss": 0.25}]
    assert run.epochs() == 2
    assert "epoch 2: loss 0.25" in run.log.read_text()


def test_clearing_leaves_exports_and_other_files(tmp_path):
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    for path in (run.config, run.metrics, run.best, tmp_path / "notes.txt"):
        path.touch()
    run.export.mkdir(parents=True)
    run.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"export", "notes.txt"}


def test_no_model_yet(tmp_path):
    with pytest.raises(RunError, match="rankup-keras train"):
        RunFolder(tmp_path).load_model()
