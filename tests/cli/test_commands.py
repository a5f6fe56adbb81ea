"""The command's way from a file to an export, on a tiny file."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from rankup_keras.cli import main
from rankup_keras.serving import load_session
from tests.helpers.cli_inputs import click_table
from tests.helpers.gpu_placement import written_ops


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    pq.write_table(click_table(), folder / "clicks.parquet")
    before = pathlib.Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def trained(place):
    assert main(["init", "clicks.parquet", "--label", "label_click", "--quiet"]) == 0
    text = (place / "clicks.yaml").read_text().replace("type: RankUp ", "type: RankMixer ")
    (place / "clicks.yaml").write_text(text)
    base = ["train", "clicks.yaml", "--set", "training.batch_size=64", "--quiet"]
    assert main([*base, "--set", "training.epochs=1"]) == 0
    assert main([*base, "--set", "training.epochs=2", "--resume"]) == 0
    return place


def _json(capfd):
    return json.loads(capfd.readouterr().out)


def test_init_writes_what_the_columns_seem_to_be(trained):
    text = (trained / "clicks.yaml").read_text()
    assert "{type: categorical, name: user_id, dtype: string, side: user}" in text
    assert "{type: numeric, name: price}" in text
    assert "name: tags, max_length: 2" in text
    assert "column: split" in text
    assert "gauc_by: user_id" in text


def test_the_run_folder_has_everything(trained):
    run = trained / "runs" / "clicks"
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "config.yaml", "log.txt", "metrics.jsonl", "ranks.jsonl", "report.html", "statistics.json",
        "model.keras", "summary.json", "checkpoints",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".")]
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    kept = json.loads((run / "summary.json").read_text())["kept_epoch"]
    log = (run / "log.txt").read_text()
    assert f"Kept the weights of epoch {kept} of 2" in log
    assert log.count("Goes on in epoch 2: what comes before is passed over") == 1
    page = (run / "report.html").read_text()
    assert f"2, kept: {kept}" in page
    assert "user_id" in page  # the fields that a token is made of
    assert keras.saving.load_model(run / "model.keras").compiled
    wanted = {"val_auc", "val_log_loss", "val_ne", "val_calibration", "val_gauc"}
    assert wanted <= set(epochs[0])


def test_one_seed_gives_one_model_resumed_or_not(trained, capfd):
    """And the configuration that a run writes says all that counts."""
    command = ["train", "runs/clicks/config.yaml", "--run", "runs/again", "--json"]
    assert main(command) == 0
    again = _json(capfd)
    resumed = json.loads((trained / "runs/clicks/summary.json").read_text())
    assert again["validation"] == resumed["validation"]
    assert again["test"] == resumed["test"]
    first, second = (
        (trained / f"runs/{run}/metrics.jsonl").read_text().splitlines()
        for run in ("clicks", "again")
    )
    assert first == second


def test_a_run_is_not_overwritten_unasked(trained, capfd):
    assert main(["train", "clicks.yaml"]) == 4
    err = capfd.readouterr().err
    assert "--resume" in err
    assert "--overwrite" in err


def test_evaluate(trained, capfd):
    assert main(["evaluate", "clicks.yaml", "--part", "validation", "--json"]) == 0
    found = _json(capfd)
    assert found["rows"] == 80
    summary = json.loads((trained / "runs/clicks/summary.json").read_text())
    assert found["validation"] == summary["validation"]
    assert main(["evaluate", "clicks.yaml", "--on", "tset"]) == 4
    assert "'test'" in capfd.readouterr().err


def test_predictions_in_both_formats_agree_with_the_export(trained, capfd):
    scores = [_scores(trained, capfd, ending) for ending in ("parquet", "csv")]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)
    rows = click_table().filter(pa.array([v == "test" for v in click_table()["split"].to_pylist()]))
    # For a GPU, all tokens of a layer in one product; it serves on this CPU as well.
    assert main(["export", "clicks.yaml", "--set", "export.device=gpu", "--json"]) == 0
    exported = pathlib.Path(_json(capfd)["export"])
    assert "BatchMatMulV2" in written_ops(exported)
    assert exported.parts[-4:] == ("clicks", "export", "clicks", "1")  # served by the run's name
    raw = {
        "user_id": np.array(rows["user_id"].to_pylist(), object),
        "item_id": rows["item_id"].to_numpy(),
        "price": rows["price"].to_numpy().astype(np.float32),
        "tags": np.array([[*t, "", ""][:2] for t in rows["tags"].to_pylist()], object),
    }
    with load_session(exported) as session:
        served = session.run(raw)
    np.testing.assert_allclose(served["label_click"].reshape(-1), scores[0], atol=1e-5)
    assert main(["serve", "clicks.yaml", "--write", "serving", "--clients", "50", "--json"]) == 0
    assert "serve.sh" in _json(capfd)["files"]
    assert "--grpc_max_threads=100" in (trained / "serving" / "serve.sh").read_text()


def _scores(trained, capfd, ending):
    output = trained / f"scores.{ending}"
    command = ["predict", "clicks.yaml", "-o", str(output), "--keep", "user_id"]
    command += ["--keep", "label_click"]
    assert main([*command, "--quiet"]) == 0
    read = pq.read_table if ending == "parquet" else pacsv.read_csv
    found = read(output)
    assert found.column_names == ["user_id", "label_click", "label_click_probability"]
    rows = click_table().filter(pa.array([v == "test" for v in click_table()["split"].to_pylist()]))
    assert found["user_id"].to_pylist() == rows["user_id"].to_pylist()
    assert main(command) == 4
    assert "--overwrite" in capfd.readouterr().err
    return np.array(found["label_click_probability"].to_pylist())


def test_profile_and_plan(trained, capfd):
    assert main(["profile", "clicks.yaml", "--json"]) == 0
    assert "tokens" in _json(capfd)["layers"]
    assert main(["plan", "clicks.yaml", "--json"]) == 0
    plan = _json(capfd)
    assert plan["rows"] == 240
    assert plan["parameters"] == sum(plan["parts"].values())


def test_what_is_not_there_yet_is_said(trained, capfd):
    for command in (["evaluate"], ["export"], ["profile"], ["predict", "-o", "x.csv"]):
        assert main([command[0], "clicks.yaml", *command[1:], "--run", "runs/none"]) == 4
        assert "rankup-keras train" in capfd.readouterr().err
    assert main(["serve", "clicks.yaml", "--run", "runs/none"]) == 4
    assert "rankup-keras export" in capfd.readouterr().err


def test_a_part_is_scored(trained, capfd):
    command = ["predict", "clicks.yaml", "-o", "valid.csv", "--part", "validation", "--quiet"]
    assert main(command) == 0
    assert capfd.readouterr() == ("Scored 80 rows for validation into valid.csv\n", "")
    assert pacsv.read_csv("valid.csv").column_names == ["label_click_probability"]


def test_a_port_that_is_taken_is_told(trained, capfd):
    (trained / "served" / "1").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "clicks.yaml", "--path", "served", "--port", str(port)]) == 4
    assert f"Port {port} is taken by another program" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["DLRM", "DCNv2"])
def test_models_without_tokens_train_from_the_same_file(trained, capfd, kind):
    command = ["train", "clicks.yaml", "--run", f"runs/{kind}", "--set", f"model.type={kind}"]
    faster = ["--set", "training.epochs=1", "--set", "training.batch_size=256"]
    assert main([*command, *faster]) == 0
    assert "The rank log is off" in capfd.readouterr().err
    assert not (trained / "runs" / kind / "report.html").exists()


@pytest.mark.processes
def test_as_a_command():
    command = [sys.executable, "-m", "rankup_keras.cli", "train", "--help"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
        "COLUMNS": "200",
    }
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "rankup-keras train ads.yaml --resume" in done.stdout
    assert done.stderr == ""
