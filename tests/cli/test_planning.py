"""`rankup-keras plan`, and `tpu-check` with the compiler where it is installed and without it."""

import importlib.util
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankup_keras.cli import main

CONFIG = """
data: {path: rows.parquet, cache: null}
tasks: [click]
features:
  - {type: categorical, name: user, hash_buckets: 50}
  - {type: numeric, name: price}
model: {type: RankMixer, token_dim: 8, num_tokens: 4, num_blocks: 1}
training: {batch_size: 64, metrics: [auc, gauc], gauc_by: user}
"""
INSTALLED = all(importlib.util.find_spec(name) for name in ("jax", "libtpu"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    rows = {"user": ["a", "b"] * 20, "price": [0.5] * 40, "click": [0, 1] * 20}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    (tmp_path / "ads.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_without_positives_is_told(place, capfd):
    task = "{name: paid, label: {column: click, positive: 2}}"
    (place / "ads.yaml").write_text(CONFIG.replace("tasks: [click]", f"tasks: [{task}]"))
    assert main(["plan", "ads.yaml"]) == 0
    assert "no row to train on is positive for task 'paid'" in capfd.readouterr().err


@pytest.mark.skipif(not INSTALLED, reason="the extra [tpu] is not installed")
def test_what_the_compiler_says(place, capfd):
    assert main(["tpu-check", "ads.yaml", "--chip", "v6e:2x2", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["fits"]
    assert found["batch_size"] == 64
    assert 0 < found["hbm_bytes"] < 2**30
    assert found["outside"]
    assert main(["tpu-check", "ads.yaml", "--chip", "v9:2x2"]) == 4
    assert "v6e" in capfd.readouterr().err


def test_without_the_compiler_one_sentence_says_what_to_install(place, capfd, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "libtpu" else find(name)
    )
    assert main(["tpu-check", "ads.yaml"]) == 4
    said = capfd.readouterr().err
    assert "pip install 'rankup-keras[tpu]'" in said
    assert "libtpu" in said
    assert "Traceback" not in said
