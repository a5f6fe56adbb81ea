"""How long a large table takes from one day to the next, and how much memory.

    python -m benchmarks.daily_growth                   # 10 million rows of width 16
    python -m benchmarks.daily_growth --rows 100000

A feature of integer ids grows by a tenth and loses a twentieth. Measured are the steps of
`rk.models.next_day`, and writing the model and the ledger: seconds of each, and the most memory
that all of them held above what yesterday's model and its ledger had taken, also as a multiple of
the grown table's own size (float32, without the optimizer's slots). Linux only.
"""

import argparse
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

    pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = held_mib("VmRSS")
    begun = time.perf_counter()
    grown = rk.features.grow(old.features, today, ledger, day=10, evict_after=5)
    done("grow")
    model = rk.models.rebuild(old, grown.features)
    done("rebuild")
    moved = rk.warm_start(model, old)
    done("warm_start")
    with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
        model.save(pathlib.Path(folder) / "model.keras")
        pq.write_table(grown.ledger, pathlib.Path(folder) / "ledger.parquet")
        done("write")
    table = moved.tables["ad"]
    own = (table["kept"] + table["new"]) * width * 4 / 2**20
    more = held_mib("VmHWM") - before
    return {
        **table,
        "seconds": seconds,
        "seconds_in_all": round(sum(seconds.values()), 2),
        "yesterday_mib": round(before),
        "more_mib": round(more),
        "times_the_table": round(more / own, 2),
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
