"""What is taken over of an update."""

import shutil

import pytest

from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.update_folder import UpdateFolder
from rankup_keras.cli.update_series import Series


@pytest.fixture
def folder(tmp_path):
    return UpdateFolder(RunFolder(tmp_path / "runs/ads"), tmp_path / "served/ads")


def _decide(folder, day=1):
    """An update that has been decided, with a version 7 of two files."""
    folder.begin({"day": day})
    folder.model.write_text(f"model of day {day}")
    version = folder.export / "7"
    version.mkdir(parents=True)
    (version / "model.json").write_text(f"card of day {day}")
    line = {"day": day, "calibrated": None, "export": str(folder.base / "7"), "refused": []}
    folder.decide(line)
    return line


def test_what_was_kept_is_there_for_the_same_update_alone(folder):
    assert not folder.begin({"day": 1})
    assert folder.kept("ahead") is None
    assert folder.keep("ahead", {"auc": 0.5}) == {"auc": 0.5}
    assert folder.begin({"day": 1})
    assert folder.kept("ahead") == {"auc": 0.5}
    assert not folder.begin({"day": 2})
    assert folder.kept("ahead") is None


def test_taking_over_twice_is_as_once(folder, tmp_path):
    line = _decide(folder)
    folder.run.uncalibrated.write_text("of yesterday")
    shutil.copytree(folder.decided, tmp_path / "again")
    for _ in range(2):  # the second time, as if it was killed after all was in place
        assert folder.take_over() == line
        assert folder.run.model.read_text() == "model of day 1"
        assert not folder.run.uncalibrated.exists()
        assert (folder.base / "7/model.json").read_text() == "card of day 1"
        assert Series(folder.run).days == [line]
        assert not folder.decided.exists()
        assert not folder.place.exists()
        if (tmp_path / "again").exists():
            (tmp_path / "again").rename(folder.decided)
    assert folder.take_over() is None


def test_a_version_that_another_export_took_is_not_replaced(folder):
    _decide(folder)
    (folder.base / "7").mkdir(parents=True)
    (folder.base / "7/model.json").write_text("another")
    with pytest.raises(FileExistsError, match="taken by another export"):
        folder.take_over()
    assert (folder.base / "7/model.json").read_text() == "another"
    assert folder.decided.is_dir()


def test_a_version_goes_to_where_versions_are_now(folder, tmp_path):
    _decide(folder)
    again = UpdateFolder(folder.run, tmp_path / "elsewhere/clicks")
    again.take_over()
    assert (again.base / "7/model.json").read_text() == "card of day 1"
