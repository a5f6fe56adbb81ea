"""A small run that has everything in it that must survive a kill, and what is left of it."""

import json

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CONFIG = """
data:
  path: rows.parquet
  split: {train: 0.8, validation: 0.2}
tasks: [click]
features:
  - {type: categorical, name: user, min_count: 1}
  - {type: categorical, name: item, hash_buckets: 50}
  - {type: numeric, name: price}
model: {type: RankMixer, token_dim: 8, num_tokens: 4, num_blocks: 1, dropout: 0.2}
training:
  batch_size: 16
  epochs: 3
  seed: 3
  checkpoint_every: 4
  rank_rows: 32
  optimizer: {embeddings: adagrad, dense: adam}
  early_stopping: {monitor: val_log_loss, mode: min, patience: 5}
  fresh_tables: when_worse
"""


def write_project(folder, rows=1000):
    """Rows and their configuration, `ads.yaml`."""
    rng = np.random.default_rng(0)
    item = rng.integers(0, 40, rows)
    table = pa.table(
        {
            "user": [f"u{v}" for v in rng.integers(0, 30, rows)],
            "item": [f"i{v}" for v in item],
            "price": rng.normal(0, 1, rows),
            "click": (rng.random(rows) < 0.1 + 0.8 * (item % 2)).astype(np.int8),
        }
    )
    pq.write_table(table, folder / "rows.parquet", row_group_size=300)
    (folder / "ads.yaml").write_text(CONFIG)


def results(run):
    """What two runs must have in common, to the bit."""
    summary = json.loads((run / "summary.json").read_text())
    for name in ("run", "seconds"):
        summary.pop(name)
    ranks = [json.loads(line) for line in (run / "ranks.jsonl").read_text().splitlines()]
    for line in ranks:
        line.pop("seconds", None)
    weights = keras.saving.load_model(run / "model.keras", compile=False).get_weights()
    return {
        "summary": summary,
        "metrics": (run / "metrics.jsonl").read_text(),
        "ranks": ranks,
        "weights": [weight.tolist() for weight in weights],
    }
