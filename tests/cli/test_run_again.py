"""A run folder that is met again: by another process, on other data, damaged, or full."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import keras
import pytest

from rankup_keras.cli import main
from rankup_keras.training import folder_lock
from tests.helpers.cli_inputs import CONFIG, ROWS, check_message, csv, put
from tests.training.test_folder_lock import PROGRAM

TRAIN = ["train", "ads.yaml", "--quiet"]
CHEAP = ["--set", "training.rank_log=false", "--set", "training.epochs=2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two epochs, in a folder that may be copied: paths are relative."""
    folder = tmp_path_factory.mktemp("again")
    put(folder, "a.csv", csv())
    (folder / "ads.yaml").write_text(CONFIG.format(path="a.csv", folder="."))
    before = pathlib.Path.cwd()
    os.chdir(folder)
    assert main([*TRAIN, *CHEAP]) == 0
    os.chdir(before)
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def epochs(place):
    lines = (place / "run/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def contents(place):
    """Of the run folder, the lock aside."""
    files = [p for p in (place / "run").rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {path: path.read_bytes() for path in files}


def test_other_data_are_refused_and_then_trained_on_with_the_same_vocabularies(place, capfd):
    before = contents(place)
    vocabulary = (place / "run/learned/vocabulary_0.txt").read_text()
    put(place, "a.csv", csv(["new,1.5,1", *reversed(ROWS)]))
    go_on = [*TRAIN, "--resume", "--set", "training.rank_log=false"]
    assert main([*go_on, "--set", "training.epochs=3"]) == 4
    check_message(capfd, ["was trained on other data: a.csv had", "--data-changed", "--run"])
    assert main([*go_on, "--set", "training.epochs=2", "--data-changed"]) == 4
    check_message(capfd, ["has all of its 2 epochs", "training.epochs=3"])
    assert contents(place) == before
    assert main([*go_on, "--set", "training.epochs=3", "--data-changed"]) == 0
    assert epochs(place) == [1, 2, 3]
    assert (place / "run/learned/vocabulary_0.txt").read_text() == vocabulary
    assert "new" not in vocabulary
    model = keras.saving.load_model(place / "run/model.keras", compile=False)
    first, new = model.encode({"user": ["u1", "new"], "price": [1.0, 1.0]})["encoded_ids"][:, 0]
    assert first != new
    assert new == model.encode({"user": ["never"], "price": [1.0]})["encoded_ids"][0, 0]
    # And from here on these are the data of the run; a moved folder has the same ones.
    assert main([*go_on, "--set", "training.epochs=4"]) == 0
    assert epochs(place) == [1, 2, 3, 4]
    assert main([*TRAIN, "--data-changed"]) == 4
    assert "--data-changed goes with --resume" in capfd.readouterr().err


def harm_checkpoints(place):
    for path in (place / "run/checkpoints").glob("checkpoint-*/state.json"):
        path.write_text(path.read_text()[:-9])


def lose_checkpoints(place):
    shutil.rmtree(place / "run/checkpoints")


def harm_vocabulary(place):
    (place / "run/learned/vocabulary_0.txt").write_text("")


def harm_config(place):
    (place / "run/config.yaml").write_text("a: [")


@pytest.mark.parametrize(
    ("harm", "code", "words"),
    [
        (harm_checkpoints, 4, ["No checkpoint in", "intact", "state.json' has", "backup"]),
        (lose_checkpoints, 4, ["holds no checkpoint any more", "--run"]),
        (harm_vocabulary, 3, ["run/learned", "vocabulary_0.txt' has 0 bytes", "backup"]),
        (harm_config, 4, ["config.yaml is damaged", "--overwrite"]),
    ],
)
def test_what_a_run_needs_to_go_on_is_damaged(place, capfd, harm, code, words):
    harm(place)
    before = contents(place)
    assert main([*TRAIN, *CHEAP[:-1], "training.epochs=5", "--resume"]) == code
    check_message(capfd, words)
    assert contents(place) == before


def test_a_second_process_is_kept_out(place, capfd):
    before = contents(place)
    lock = sys.modules[folder_lock.__name__].__file__
    command = [sys.executable, "-c", PROGRAM, lock, str(place / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "locked\n"
        for option in ("--resume", "--overwrite"):
            assert main([*TRAIN, *CHEAP, option]) == 4
            check_message(capfd, [f"in use: process {process.pid} on", "another folder"])
        process.kill()
    (place / "run" / folder_lock.OWNER).unlink()
    assert contents(place) == before


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def with_lambda(path):
    x = keras.Input((1,))
    keras.Model(x, keras.layers.Lambda(lambda x: x)(x)).save(path)


def with_pickle(path):
    with zipfile.ZipFile(path, "w") as file:
        config = {"module": "os", "class_name": "system", "config": {"command": "touch harmed"}}
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", b"cos\nsystem\n(S'touch harmed'\ntR.")


def with_traversal(path):
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../harmed", "x")
        file.writestr("config.json", "{}")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, ["model.keras is damaged", "cut short"]),
        (with_lambda, ["model.keras is refused", "Lambda"]),
        (with_pickle, ["model.keras is refused"]),
        (with_traversal, ["model.keras is refused"]),
    ],
)
def test_models_that_are_none_are_refused(place, capfd, harm, words):
    harm(place / "run/model.keras")
    assert main(["evaluate", "ads.yaml", "--quiet"]) == 4
    check_message(capfd, words)
    assert not (place / "harmed").exists()
    assert not (place.parent / "harmed").exists()


def test_a_broken_summary(place, capfd):
    (place / "run/summary.json").write_text('{"test": ')
    assert main(["export", "ads.yaml", "--quiet"]) == 4
    check_message(capfd, ["summary.json is damaged", "--overwrite"])


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_called_so(place, capfd):
    (place / "full").mkdir()
    (place / "full/log.txt").symlink_to("/dev/full")
    assert main([*TRAIN, *CHEAP, "--run", "full"]) == 4
    check_message(capfd, ["full/log.txt", "No space left", "bytes are free", "--resume"])


def test_places_that_cannot_be_written_are_told_before_anything_is_read(place, capfd):
    (place / "file").touch()
    (place / "a.csv").unlink()  # which would be told first, were it read
    for option in ("--set", "data.cache=file/cache"), ("--run", "file/run"):
        assert main([*TRAIN, *CHEAP, *option]) == 4
        check_message(capfd, ["file", "Not a directory"])
    put(place, "a.csv", csv())
    for command in (
        ["predict", "ads.yaml", "-o", "file/x.csv"],
        ["export", "ads.yaml", "-o", "file/x"],
    ):
        assert main([*command, "--quiet"]) == 4
        check_message(capfd, ["Not a directory"])
