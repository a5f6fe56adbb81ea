"""An update that is stopped at any of its stages, and run again, ends as one that was not."""

import pytest

from rankup_keras.cli import main
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.serving import load_session, version_path
from tests.helpers.days import copied, outcome, write_trained

SMALL = ("--set", "model={type: DLRM, embedding_dim: 4, top_units: [8]}")
UPDATE = [
    "update",
    "runs/ads",
    "--data",
    "day1.parquet",
    "--quiet",
    "--set",
    "update.evict_after=1",
]


class Killed(BaseException):
    """Ends a command as a signal does: nothing catches it."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    write_trained(folder, *SMALL)
    return folder


def test_stopped_at_every_stage(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [*UPDATE, "--set", "update.calibrate=isotonic"]
    whole = copied(trained, tmp_path / "whole")
    notes = []
    write = RunFolder.note
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "note", lambda run, text: notes.append(text) or write(run, text))
        assert main(command) == 0
    expected = outcome(whole)
    assert expected["version"] == "2"
    stages = [text.partition(": ")[2] for text in notes if "a call takes" not in text]
    assert len(stages) >= 10

    run = copied(trained, tmp_path / "killed")
    request = {"user": ["u1"], "item": ["i7"], "price": [0.5]}
    for stage in stages:

        def note(run, text, stage=stage):
            if text.endswith(stage):
                raise Killed

        decided = (run / "update").is_dir()
        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "note", note)
            with pytest.raises(Killed):
                main(command)
        with load_session(version_path(run / "export/ads")) as session:
            assert session.run(request)["click"].shape == (1,)
        if not (run / "update").is_dir():
            assert not decided
            assert not (run / "days.jsonl").exists()
            assert (run / "model.keras").read_bytes() == (
                trained / "runs/ads/model.keras"
            ).read_bytes()
    assert main(command) == 0
    assert outcome(run) == expected
