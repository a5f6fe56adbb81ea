"""How long a large table takes from one day to the next, and how much memory.

    python -m benchmarks.daily_growth                   # 10 million rows of width 16
    python -m benchmarks.daily_growth --rows 100000

A feature of integer ids grows by a tenth and loses a twentieth. Measured are the steps of
`rk.models.next_day`, and writing the model and the ledger: seconds of each, and the most memory
held on the way, as multiples of the grown table with its optimizer's slots:

- `times_the_table`: the new model, its warm start, and writing it, above what was held once the
  vocabulary had grown. 1 is the new table itself. Yesterday's model is there, too, all the time.
- `times_in_all`: everything above yesterday's model and its ledger. That has the new vocabulary,
  its hash table, and the new ledger as well, whose size is that of the values' text and not of
  the table.

Linux only.
"""

import argparse
import gc
import os
import pathlib
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import measuring


def held_mib(name: str) -> float:
    """Memory of this process: `VmRSS` now, `VmHWM` at most."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(f"{name}:"))


def restart_peak() -> None:
    """Lets `VmHWM` begin anew."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def yesterday(rows: int, width: int) -> tuple[Any, pa.Table]:
    """A model of so many values, and a ledger in which a twentieth was not seen of late."""
    import rankup_keras as rk

    ids = np.arange(rows, dtype=np.int64)
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt({"ad": ids})
    model = rk.DCNv2(features, ["click"], embedding_dim=width)
    model.compile(rk.optimizers.Split("row_wise_adagrad", "adam"))
    model.optimizer.build(model.trainable_variables)
    ledger = pa.table(
        {
            "feature": pa.repeat("ad", rows),
            "value": pa.array(ids).cast(pa.string()),
            "count": pa.repeat(1.0, rows),
            "last_seen": pa.array(np.where(ids % 20 == 0, 0, 9)),
        }
    )
    return model, ledger


def measured(rows: int, width: int) -> dict[str, Any]:
    import rankup_keras as rk

    old, ledger = yesterday(rows, width)
    new = pa.array(np.arange(rows, rows + rows // 10)).cast(pa.string())
    today = pa.table(
        {"feature": pa.repeat("ad", len(new)), "value": new, "count": pa.repeat(1, len(new))}
    )
    seconds: dict[str, float] = {}
    begun = time.perf_counter()

    def done(step: str) -> None:
        nonlocal begun
        seconds[step] = round(time.perf_counter() - begun, 2)
        begun = time.perf_counter()

    restart_peak()
    before = held_mib("VmRSS")
    begun = time.perf_counter()
    grown = rk.features.grow(old.features, today, ledger, day=10, evict_after=5)
    done("grow")
    gc.collect()
    grown_mib, growing_mib = held_mib("VmRSS"), held_mib("VmHWM")
    restart_peak()
    begun = time.perf_counter()
    model = rk.models.rebuild(old, grown.features)
    done("rebuild")
    moved = rk.warm_start(model, old)
    done("warm_start")
    with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
        model.save(pathlib.Path(folder) / "model.keras")
        pq.write_table(grown.ledger, pathlib.Path(folder) / "ledger.parquet")
        done("write")
    table = moved.tables["ad"]
    variables = [*model.trainable_variables[:1], *model.optimizer.embeddings.variables]
    own = sum(4 * int(np.prod(v.shape)) for v in variables) / 2**20
    peak = held_mib("VmHWM")
    return {
        **table,
        "seconds": seconds,
        "seconds_in_all": round(sum(seconds.values()), 2),
        "yesterday_mib": round(before),
        "table_and_slots_mib": round(own),
        "vocabulary_and_ledger_mib": round(grown_mib - before),
        "times_the_table": round((peak - grown_mib) / own, 2),
        "times_in_all": round((max(peak, growing_mib) - before) / own, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--width", type=int, default=16)
    o = parser.parse_args()
    found = measured(o.rows, o.width)
    print(found)
    measuring.record("daily_growth", {f"{o.rows} rows of {o.width}": found})


if __name__ == "__main__":
    main()
