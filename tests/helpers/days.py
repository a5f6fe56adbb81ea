"""A small run, and days of rows that it goes on with."""

import contextlib
import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rankup_keras.cli import main
from rankup_keras.serving import load_session, version_path

CONFIG = """
data:
  path: day0.parquet
  split: {train: 0.8, validation: 0.2}
  cache: null
tasks: [click]
features:
  - {type: categorical, name: user}
  - {type: categorical, name: item, min_count: 1}
  - {type: numeric, name: price}
model: {type: RankMixer, token_dim: 8, num_tokens: 4, num_blocks: 1, dropout: 0.2}
training: {batch_size: 64, seed: 3, checkpoint_every: 3, rank_rows: 32, rank_log: false}
export: {warmup_rows: 16, batch_sizes: [4], signatures: [serving_default]}
update:
  evict_after: 2
  holdout: 0.3
  gate: {auc: 0.5, ne: 0.5, calibration: 2.0, effective_rank: 0.9, latency: 100.0}
"""


def write_days(folder, days=3, rows=600):
    """`day0.parquet`, ... and their configuration, `ads.yaml`; items come and go."""
    for day in range(days):
        rng = np.random.default_rng(day)
        item = rng.integers(5 * day, 5 * day + 20, rows)
        table = pa.table(
            {
                "user": [f"u{v}" for v in rng.integers(0, 30, rows)],
                "item": [f"i{v}" for v in item],
                "price": rng.normal(0, 1, rows),
                "click": (rng.random(rows) < 0.1 + 0.8 * (item % 2)).astype(np.int8),
            }
        )
        pq.write_table(table, folder / f"day{day}.parquet")
    (folder / "ads.yaml").write_text(CONFIG)


def write_trained(folder):
    """The days, and a run on the first of them that is served as version 1."""
    write_days(folder)
    with contextlib.chdir(folder):
        assert main(["train", "ads.yaml", "--quiet"]) == 0
        assert main(["export", "ads.yaml", "--quiet"]) == 0


def copied(folder, target):
    """A copy of a folder of `write_trained`, which becomes the working directory."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    os.chdir(target)
    return pathlib.Path("runs/ads")


def outcome(run):
    """What two runs must have in common after the same days, to the bit."""
    version = version_path(run / "export" / run.name)
    request = {"user": ["u1", "u2"], "item": ["i7", "i24"], "price": [0.5, -1.0]}
    with load_session(version) as session:
        scores = session.run(request)["click"].tolist()
    variables = []
    for path in sorted(run.glob("*.keras")):
        model = keras.saving.load_model(path)
        # Dropout's generators are made anew by every process that loads it.
        variables += [*model.weights, *(model.optimizer.variables if model.compiled else [])]
    return {
        "version": version.name,
        "scores": scores,
        "variables": [np.asarray(variable.numpy()).tolist() for variable in variables],
        "days": (run / "days.jsonl").read_text(),
        "ledger": pq.read_table(run / "ledger.parquet").to_pylist(),
        "summary": json.loads((run / "summary.json").read_text()),
    }
