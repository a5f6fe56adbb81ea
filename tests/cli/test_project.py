"""From a configuration to files, features and a model."""

import json

import pytest

import rankup_keras as rk
from rankup_keras.cli.failures import ConfigError, RunError
from rankup_keras.cli.output import Output
from rankup_keras.cli.project import Project
from tests.helpers.cli_inputs import CONFIG, csv, put


def open_project(folder, *changes):
    (folder / "a.yaml").write_text(CONFIG.format(path=put(folder, "a.csv", csv()), folder=folder))
    return Project(folder / "a.yaml", list(changes), None, Output(quiet=True))


def test_parts_are_all_rows_once(tmp_path):
    project = open_project(tmp_path)
    rows = {
        part: sum(table.num_rows for table in files.tables(8))
        for part, files in project.parts.items()
    }
    assert list(rows) == ["train", "validation", "test"]
    assert sum(rows.values()) == 40
    assert rows["train"] > rows["test"] > 0


def test_parts_that_are_not_there(tmp_path):
    project = open_project(tmp_path, "data.split.test=null")
    assert list(project.parts) == ["train", "validation"]
    with pytest.raises(RunError, match=r"data\.split\.test"):
        project.files("test")
    with pytest.raises(RunError, match="nearest valid name is 'train'"):
        project.files("trian")


def test_a_missing_column_is_told_at_its_line(tmp_path):
    project = open_project(tmp_path, 'data.split={"train": 1.0, "by": "usr"}')
    with pytest.raises(ConfigError, match=r"--set data\.split=.*'usr'"):
        project.files("train")
    with pytest.raises(ConfigError, match=r"a.yaml:6: tasks.*'buy'"):
        Project(_renamed(tmp_path, "click", "buy"), None, None, Output()).files("train")


def _renamed(folder, old, new):
    path = folder / "a.yaml"
    path.write_text(path.read_text().replace(f"- {old}", f"- {new}"))
    return path


def test_a_model_is_built_and_compiled(tmp_path):
    metrics = json.dumps(["auc", "log_loss", "ne", "calibration"])
    project = open_project(tmp_path, f"training.metrics={metrics}", "training.learning_rate=0.5")
    project.features.adapt({"user": ["a", "b"], "price": [1.0, 2.0]})
    model = project.build_model()
    project.compile(model, leave_out=["auc"])
    assert isinstance(model, rk.DLRM)
    assert isinstance(model.optimizer, rk.optimizers.Split)
    assert float(model.optimizer.learning_rate) == 0.5
    assert project.run.path == tmp_path / "run"
