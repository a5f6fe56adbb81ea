"""Reading and adapting: rows of Criteo's shape from Parquet, against pyarrow into NumPy.

    python benchmarks/data_files.py --rows 10000000 --folder /somewhere/with/1GB

Writes the rows once (made up: 13 counts and 26 categories of 8 hexadecimal digits, whose numbers of
values and skew are like those of Criteo's Kaggle set), then, each in a process of its own:

- `numpy`: pyarrow reads the same columns into NumPy arrays, batch by batch;
- `read`: `Files.dataset`, one pass, raw columns, no shuffling;
- `encode`: the same with hashing and normalization, `encoded=True`;
- `shuffle`: the same, shuffled, as `rankup-keras train` runs it;
- `adapt`: vocabularies, means and quantiles of all 39 columns, in one pass;
- `epoch`: after `adapt`, one epoch's reading with its vocabularies, shuffled.

Gives rows per second, and peak memory above what importing the package takes. `--rounds 5` runs
`numpy`, `encode` and `shuffle` by turns in one process, and gives the median of the rounds' shares
of `numpy`: for a machine whose speed changes from minute to minute.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 4096
# Different values of C1 to C26 in Criteo's Kaggle training set, for 45.8 million rows.
VALUES = (
    1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194,
    27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572,
)  # fmt: skip
STEPS = ("numpy", "read", "encode", "shuffle", "adapt", "epoch")


def generate(folder: Path, rows: int, files: int = 10) -> None:
    """Writes the rows in several files, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        path = folder / f"part-{number:02d}.parquet"
        if path.exists():
            continue
        rng = np.random.default_rng(number)
        writer = None
        for start in range(0, rows // files, 250_000):
            table = _chunk(rng, min(250_000, rows // files - start))
            if writer is None:
                writer = pq.ParquetWriter(path.with_suffix(".partial"), table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
        path.with_suffix(".partial").rename(path)


def _chunk(rng: np.random.Generator, rows: int) -> pa.Table:
    columns: dict[str, pa.Array] = {"label": pa.array(rng.random(rows) < 0.25).cast(pa.int8())}
    for i in range(13):
        values = rng.lognormal(2, 2, rows).astype(np.int32)
        columns[f"I{i + 1}"] = pa.array(values, mask=rng.random(rows) < 0.15)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    for i, count in enumerate(VALUES):
        # Few values make most of the rows, and a tenth of the values of 45.8 million rows occur.
        place = (count * rng.random(rows) ** 6).astype(np.uint64)
        word = (place * np.uint64(2_654_435_761) + np.uint64(i)) % np.uint64(2**32)
        shifts = np.arange(28, -4, -4, dtype=np.uint64)
        text = digits[((word[:, None] >> shifts) & np.uint64(15)).astype(np.intp)]
        offsets = pa.py_buffer(np.arange(0, 8 * rows + 1, 8, dtype=np.int32))
        columns[f"C{i + 1}"] = pa.StringArray.from_buffers(
            rows, offsets, pa.py_buffer(text.tobytes())
        )
    return pa.table(columns)


def run(step: str, folder: Path) -> dict[str, float]:
    """One measurement, in this process."""
    import tensorflow as tf

    import rankup_keras.data  # noqa: F401 (before memory is looked at)

    tf.constant(0)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, seconds = _steps(folder)[step]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "peak_mb_above_import": round((peak - base) / 1024),
    }


def _steps(folder: Path) -> dict[str, Callable[[], tuple[int, float]]]:
    import rankup_keras as rk

    paths = sorted(folder.glob("*.parquet"))
    numbers, words = [f"I{i}" for i in range(1, 14)], [f"C{i}" for i in range(1, 27)]

    def features(hashed: bool) -> rk.FeatureSet:
        buckets = 100_000 if hashed else None
        return rk.FeatureSet(
            [rk.Numeric(n, normalize=None if hashed else "log") for n in numbers]
            + [rk.Categorical(n, hash_buckets=buckets) for n in words]
        )

    def count(dataset: Any) -> tuple[int, float]:
        begun, rows = time.perf_counter(), 0
        for _, labels in dataset:
            rows += int(labels["label"].shape[0])
        return rows, time.perf_counter() - begun

    def plain() -> tuple[int, float]:
        begun, rows = time.perf_counter(), 0
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(BATCH):
                for column in batch.columns:
                    column.to_numpy(zero_copy_only=False)
                rows += batch.num_rows
        return rows, time.perf_counter() - begun

    def dataset(shuffle: bool, encode: bool) -> Any:
        made = features(hashed=True)
        files = rk.data.Files(paths, made, ["label"])
        return files.dataset(BATCH, shuffle=shuffle, encoded=encode)

    def learn(epoch: bool) -> tuple[int, float]:
        made = features(hashed=False)
        files = rk.data.Files(paths, made, ["label"])
        begun = time.perf_counter()
        found = rk.data.adapt(made, files)
        seconds = time.perf_counter() - begun
        sizes = [item["kept"] for item in found.features.values() if "kept" in item]
        print(f"{sum(sizes):,} values in the vocabularies", file=sys.stderr)
        if epoch:
            return count(files.dataset(BATCH, shuffle=True, encoded=True))
        return found.rows, seconds

    return {
        "numpy": plain,
        "read": lambda: count(dataset(False, False)),
        "encode": lambda: count(dataset(False, True)),
        "shuffle": lambda: count(dataset(True, True)),
        "adapt": lambda: learn(False),
        "epoch": lambda: learn(True),
    }


def by_turns(folder: Path, rounds: int) -> dict[str, object]:
    """Rates of `numpy`, `encode` and `shuffle`, taken by turns."""
    steps = _steps(folder)
    names = ("numpy", "encode", "shuffle")
    for name in names:
        steps[name]()
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            rows, seconds = steps[name]()
            rates[name].append(rows / seconds)
    found: dict[str, object] = {
        name: {"rows_per_second": [round(rate) for rate in values]}
        for name, values in rates.items()
    }
    for name in names[1:]:
        shares = [a / b for a, b in zip(rates[name], rates["numpy"], strict=True)]
        found[f"{name}_share_of_numpy"] = {
            "median": round(statistics.median(shares), 2),
            "all": [round(share, 2) for share in shares],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--rounds", type=int, default=0, help="only compare rates, by turns")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one, options.folder)))
        return
    generate(options.folder, options.rows)
    if options.rounds:
        turns = {"rows": options.rows, **by_turns(options.folder, options.rounds)}
        text = json.dumps(turns, indent=1)
        print(text)
        if options.json:
            options.json.write_text(text + "\n")
        return
    found = {}
    for step in options.steps:
        command = [sys.executable, __file__, "--folder", str(options.folder), "--one", step]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{step} failed:\n{done.stderr[-3000:]}")
        found[step] = json.loads(done.stdout.splitlines()[-1])
        print(f"{step:8} {found[step]}", flush=True)
    if "numpy" in found:
        for step in ("read", "encode", "shuffle"):
            if step in found:
                share = found[step]["rows_per_second"] / found["numpy"]["rows_per_second"]
                found[step]["share_of_numpy"] = round(share, 2)
                print(f"{step}: {share:.2f} of pyarrow into NumPy")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
