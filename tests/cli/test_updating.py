"""`rankup-keras update`: days that follow one another, a refusal, and kills at every stage."""

import contextlib
import json

import pyarrow.parquet as pq
import pytest

from rankup_keras.cli import main
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.serving import load_session, read_card, version_path, versions
from rankup_keras.training.resume_store import CheckpointStore
from tests.helpers.days import copied, outcome, write_trained
from tests.helpers.gpu_placement import written_ops

UPDATE = ["update", "runs/ads", "--data", "day1.parquet", "--quiet"]
UPDATE += ["--set", "update.calibrate=platt", "--set", "training.calibration_by=item"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    write_trained(folder)
    pq.write_table(pq.read_table(folder / "day1.parquet").slice(0, 2), folder / "two.parquet")
    return folder


@pytest.fixture(scope="module")
def updated(trained, tmp_path_factory):
    """The run after its first day, undisturbed."""
    folder = tmp_path_factory.mktemp("updated")
    with contextlib.chdir(folder):
        copied(trained, folder)
        assert main(UPDATE) == 0
    return folder


def _days(run):
    return [json.loads(line) for line in (run / "days.jsonl").read_text().splitlines()]


def test_a_day_is_scored_ahead_and_grown_and_compared(updated):
    (day,) = _days(updated / "runs/ads")
    assert day["day"] == 1
    assert day["vocabularies"]["item"] == {"kept": 20, "added": 5, "evicted": 0}
    assert day["tables"]["item"] == {"kept": 22, "new": 5, "gone": 0}
    assert day["compared_with"] == "version 1"
    assert sum(day["rows"].values()) == 600
    assert day["rows"].keys() == {"train", "calibrate", "compare"}
    assert set(day["ahead"]["click"]) == {"auc", "log_loss", "ne", "calibration"}
    assert day["effective_rank"]["tokens"] >= 1
    assert versions(updated / "runs/ads/export/ads") == [1, 2]
    assert not list((updated / "runs/ads").glob(".*"))
    page = (updated / "runs/ads/report.html").read_text()
    for text in ("run ads, day 1", "Calibration of click by bin", "Calibration of click by item"):
        assert text in page


def test_days_follow_one_another(updated, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run = copied(updated, tmp_path)
    # Refused by a gate: nothing changes but the series, and the exit code tells.
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    command = ["update", "ads.yaml", "--data", "day2.parquet"]
    impossible = ["--set", "update.gate.ne=0", "--set", "update.gate.latency=0.0001"]
    other = ["--set", "update.evict_after=1"]
    assert main([*command, *other, *impossible, "--day", "3"]) == 5
    said = capfd.readouterr().out
    assert "Refused: " in said
    assert "--set update.gate.auc=null" in said
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert {name for name in after if after[name] != before.get(name)} == {"days.jsonl", "log.txt"}
    assert versions("runs/ads/export/ads") == [1, 2]

    # The same rows with other thresholds: what was trained is used, and the day is told once.
    assert main([*command, *other, "--set", "export.device=gpu", "--day", "3"]) == 0
    said = capfd.readouterr()
    assert "goes on where it stopped" in said.err
    assert "item: 15 kept, 5 added, 10 evicted" in said.out
    days = _days(run)
    assert [line["day"] for line in days] == [1, 3]
    assert days[1]["refused"] == []
    of_cpu, of_gpu = (written_ops(run / f"export/ads/{version}") for version in (2, 3))
    assert of_cpu.count("MatMul") > 2 * of_gpu.count("MatMul")
    card = read_card(version_path("runs/ads/export/ads"))
    assert card["metrics"]["held_click_auc"] == days[1]["held"]["new"]["click"]["auc"]
    assert not (run / "uncalibrated.keras").exists()

    # Today it is not calibrated. The rows are not trained on twice.
    assert main(["evaluate", "ads.yaml", "--on", "validation", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"] > 0
    assert main(["update", "runs/ads", "--data", str(tmp_path / "day2.parquet")]) == 0
    assert "trained on already, as day 3" in capfd.readouterr().err
    assert versions("runs/ads/export/ads") == [1, 2, 3]
    assert main(["update", "runs/ads", "--data", "*1.parquet", "--data", "day0.parquet"]) == 4
    assert "day1.parquet was trained on already, as a file of day 1" in capfd.readouterr().err
    assert main(["train", "ads.yaml", "--resume"]) == 4
    assert "rankup-keras update" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runs/none", "--data", "x"], "no run that can be updated"),
        (["runs/ads", "--data", "none.parquet"], "none.parquet"),
        (["runs/ads", "--data", "day0.parquet"], "trained on already, by `rankup-keras train`"),
        (["runs/ads", "--data", "two.parquet"], "1 to compare, of which `compare` needs 2"),
        (["runs/ads", "--data", "day1.parquet", "--day", "today"], "a date such as 2024-01-31"),
        (["runs/ads", "--data", "day1.parquet", "--set", "model.token_dim=16"], "token_dim was 8"),
        (["runs/ads", "--data", "day1.parquet", "--set", "update.holdout=2"], "less than 1"),
    ],
)
def test_what_cannot_work_is_said(trained, monkeypatch, capfd, arguments, words):
    monkeypatch.chdir(trained)
    assert main(["update", *arguments]) in (2, 3, 4)
    assert words in capfd.readouterr().err
    assert not (trained / "runs/ads/days.jsonl").exists()


class Killed(BaseException):
    """Ends a command as a signal does: nothing catches it."""


def kill_at(stage, patch):
    """Ends the update at a stage that the log would tell, or after a second checkpoint."""
    written = []

    def note(run, text):
        if stage in text:
            raise Killed

    def write(store, *args, write=CheckpointStore.write, **kwargs):
        write(store, *args, **kwargs)
        written.append(store)
        if stage == "second checkpoint" and len(written) == 2:
            raise Killed

    with patch.context() as within:
        within.setattr(RunFolder, "note", note)
        within.setattr(CheckpointStore, "write", write)
        with pytest.raises(Killed):
            main(UPDATE)


STAGES = (
    "scored ahead", "vocabularies grown", "second checkpoint", "decided", "uncalibrated.keras is",
    "model.keras is", "ledger.parquet is", "summary.json is", "days.jsonl", "exported runs/",
)  # fmt: skip


def test_killed_at_ten_stages_it_ends_as_undisturbed(trained, updated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = outcome(updated / "runs/ads")
    assert expected["version"] == "2"
    run = copied(trained, tmp_path / "killed")
    yesterday = (run / "model.keras").read_bytes()
    request = {"user": ["u1"], "item": ["i7"], "price": [0.5]}
    for stage in STAGES:
        kill_at(stage, monkeypatch)
        decided = STAGES.index(stage) >= STAGES.index("decided")
        assert (run / "update").is_dir() == decided
        if not decided:
            assert (run / "model.keras").read_bytes() == yesterday
        # The version served answers, whatever happens to the run.
        assert version_path(run / "export/ads").name == str(1 + (stage == STAGES[-1]))
    with load_session(version_path(run / "export/ads")) as session:
        assert session.run(request)["click"].shape == (1,)
    assert main(UPDATE) == 0
    assert outcome(run) == expected
