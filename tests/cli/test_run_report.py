"""The epoch that a run keeps, and where its report ends."""

import json
import types

import pytest

import rankup_keras as rk
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.run_report import kept_epoch, write_report
from tests.diagnostics.profiles import profile_of


def _project(tmp_path, values, mode="max", best=True):
    run = RunFolder(tmp_path / "wide")
    run.checkpoints.mkdir(parents=True)
    if best:
        run.best.touch()
    lines = [json.dumps({"epoch": n + 1, "val_auc": value}) for n, value in enumerate(values)]
    run.metrics.write_text("\n".join(lines) + "\n")
    stopping = types.SimpleNamespace(monitor="val_auc", mode=mode)
    config = types.SimpleNamespace(training=types.SimpleNamespace(early_stopping=stopping))
    return types.SimpleNamespace(run=run, config=config)


@pytest.mark.parametrize(
    ("values", "mode", "epoch"),
    [
        ([0.6, 0.7, 0.7, 0.65], "max", 2),
        ([0.6, 0.5, 0.55], "min", 2),
        ([None, 0.5, None], "max", 2),
        ([None, None], "max", None),
    ],
)
def test_the_first_of_the_best_epochs_is_kept(tmp_path, values, mode, epoch):
    assert kept_epoch(_project(tmp_path, values, mode)) == epoch


def test_without_a_best_checkpoint_none_is(tmp_path):
    assert kept_epoch(_project(tmp_path, [0.5], best=False)) is None


def test_the_report_ends_with_the_kept_epoch(tmp_path):
    project = _project(tmp_path, [0.6, 0.7, 0.65])
    profiles = [profile_of(), *(profile_of(f"epoch {n}", n, loss=0.5) for n in (1, 2, 3))]
    for number, profile in enumerate(profiles):
        profile.epoch = number
    summary = {
        "run": "runs/wide", "model": "rankup", "parameters": 1234, "rows": 99, "epochs": 3,
        "kept_epoch": 2, "test": {"click": {"auc": 0.71}},
    }  # fmt: skip
    ranks = types.SimpleNamespace(profiles=profiles, tokens=[("sparse", "user, city")])
    told = rk.diagnostics.reliability([0, 1], [0.25, 0.5], segments=["de", "fr"], by="country")
    write_report(project, ranks, summary, {"click": told})
    page = project.run.report.read_text()
    assert "<h1>rankup: run wide</h1>" in page
    assert "epoch 2" in page
    assert "epoch 3" not in page
    wanted = ("1,234 parameters", "3, kept: 2", "auc 0.7100", "user, city", "click by country")
    for text in wanted:
        assert text in page
