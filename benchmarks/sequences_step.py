"""Training step and memory against the number of events.

    python -m benchmarks.sequences_step                 # 50, 200, 1,000 events, each in a process
    python -m benchmarks.sequences_step --one 200       # one of them, as JSON
    python -m benchmarks.sequences_step --matches       # events compared with the candidate too
    python -m benchmarks.sequences_step --padding       # lists of uneven lengths, see below

Random rows whose lists are full; a step is one batch of `--batch` encoded rows, which goes through
the layers `--rows-per-pass` at a time. Bars: a step's time is linear in the events (the slope from
the first to the second length and that from there to the third differ by 10 % at most), and 1,000
events in batches of 1,024 rows take at most 4 GB beside the tables.

With `--padding` the lengths of lists are log-normal, median 50, cut at `--longest`: the share of
padding and the CPU seconds of an epoch with all batches padded to the longest list of all, to that
of the batch, and with `data.by_length`.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import rankup_keras as rk
from benchmarks import measuring
from rankup_keras.features.autotuning import without_autotuner
from rankup_keras.kernels.trimming import few_lengths

MODELS = {
    "rankup": {"token_dim": 64, "sequence_encoder": "attention"},
    "mixformer": {"token_dim": 64, "num_heads": 4},
    "hyformer": {"token_dim": 64},
}


def features(length: int, items: int = 100_000, matches: bool = False) -> rk.FeatureSet:
    """A row with one sequence of item, category, action, dwell time and time."""
    return rk.FeatureSet(
        [
            rk.Categorical("user", num_ids=items, side="user"),
            *(rk.Categorical(f"u{n}", num_ids=1000, side="user") for n in range(5)),
            rk.Categorical("item", num_ids=items, side="candidate"),
            rk.Categorical("category", num_ids=1000, side="candidate"),
            *(rk.Categorical(f"c{n}", num_ids=1000, side="candidate") for n in range(4)),
            rk.Timestamp("now"),
            rk.Events(
                "events",
                {"e_item": "item", "e_category": "category", "e_action": 4},
                max_length=length,
                time="e_time",
                request_time="now",
                numbers={"e_dwell": None},
                matches=matches,
            ),
        ]
    )


def rows(count: int, length: int, items: int = 100_000, seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows with full lists."""
    rng = np.random.default_rng(seed)
    now = 10**9
    found = {name: rng.integers(0, 1000, count) for name in
             (*(f"u{n}" for n in range(5)), *(f"c{n}" for n in range(4)), "category")}  # fmt: skip
    return found | {
        "user": rng.integers(0, items, count),
        "item": rng.integers(0, items, count),
        "now": np.full(count, now),
        "e_item": rng.integers(0, items, (count, length)),
        "e_category": rng.integers(0, 1000, (count, length)),
        "e_action": rng.integers(0, 4, (count, length)),
        "e_dwell": rng.random((count, length)).astype(np.float32),
        "e_time": np.sort(now - 1 - rng.integers(0, 10**7, (count, length)), axis=1),
    }


def model_of(name: str, own: rk.FeatureSet, **settings: Any) -> Any:
    """One of `MODELS`."""
    kinds = {"rankup": rk.RankUp, "mixformer": rk.MixFormer, "hyformer": rk.HyFormer}
    return kinds[name](own, ["click"], **{**MODELS[name], **settings})


def one(
    name: str, length: int, batch: int, steps: int, rows_per_pass: int | None, matches: bool
) -> dict[str, Any]:
    """Median seconds of a step, and the most memory held, tables and optimizer's included."""
    own = features(length, matches=matches)
    model = model_of(name, own)
    model.compile(rows_per_pass=rows_per_pass)
    encoded = model.encode(rows(batch, length))
    x = {key: tf.constant(value) for key, value in encoded.items()}
    y = {"click": tf.constant(np.random.default_rng(0).integers(0, 2, (batch, 1)), tf.float32)}
    # The autotuner would hold up the end of a round by up to as long as rounds have taken.
    data = without_autotuner(tf.data.Dataset.from_tensors((x, y)).repeat())
    model.fit(data, steps_per_epoch=2, verbose=0)
    before = measuring.peak_mib()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        model.fit(data, steps_per_epoch=4, verbose=0)
        seconds.append((time.perf_counter() - start) / 4)
    return {
        "model": name,
        "events": length,
        "batch": batch,
        "rows_per_pass": rows_per_pass,
        "matches": matches,
        "step_ms": round(1e3 * statistics.median(seconds), 2),
        "peak_mib": round(max(before, measuring.peak_mib())),
        "flops": rk.models.measure(model).flops,
        "parameters": model.count_params(),
        "table_parameters": sum(
            math.prod(v.shape) for v in model.weights if getattr(v, "row_sparse", False)
        ),
    }


def verdict(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The bars against what a model's runs measured."""
    tables = 3 * 4 * runs[-1]["table_parameters"] / 2**20  # Adam's two moments beside each
    found = {"model": runs[0]["model"], "gb_beside_tables (at most 4)":
             round((runs[-1]["peak_mib"] - tables) * 2**20 / 1e9, 2)}  # fmt: skip
    if len(runs) == 3:
        (a, b, c), times = ([r[key] for r in runs] for key in ("events", "step_ms"))
        first, second = (times[1] - times[0]) / (b - a), (times[2] - times[1]) / (c - b)
        found["slope_ratio (0.9 to 1.1)"] = round(second / first, 3)
    return found


def padding(name: str, count: int, longest: int, batch: int) -> dict[str, Any]:
    """Share of padding and CPU seconds of an epoch, by how rows come into batches."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.lognormal(np.log(50), 1.5, count).astype(int), longest)
    columns = rows(count, longest)
    lists = [c for c in columns if c.startswith("e_")]
    ragged = {c: [x[:n] for x, n in zip(columns[c], lengths, strict=True)] for c in lists}
    own = features(longest)
    model = model_of(name, own)
    trims = [x for x in model.layers if isinstance(x, rk.layers.TrimPadding)]
    y = {"click": rng.integers(0, 2, (count, 1)).astype("float32")}
    data = tf.data.Dataset.from_tensor_slices((own.encode({**columns, **ragged}), y)).batch(batch)
    padded = [longest] * len(data)
    found: dict[str, Any] = {"model": name, "rows": count, "longest": longest, "batch": batch}

    def of(batches: Any) -> list[int]:
        depth, steps = len(own["events"].channels), few_lengths(longest, 8)
        most = [int(x["encoded_events"][:, ::depth].sum(1).max()) for x, _ in batches]
        return [steps[np.searchsorted(steps, n)] for n in most]

    sorted_rows = rk.data.by_length(data, own, batch, seed=0)
    for kind, batches, cut in (
        ("padded to the longest of all", data, padded),
        ("padded to the longest of the batch", data, of(data.as_numpy_iterator())),
        ("by_length", sorted_rows, of(sorted_rows.as_numpy_iterator())),
    ):
        sizes = [len(y["click"]) for _, y in batches.as_numpy_iterator()]
        share = 1 - lengths.sum() / np.dot(sizes, cut)
        found[kind] = {"padding_share": round(float(share), 3)}
        for trim in trims:
            trim.smallest = longest if cut is padded else 8
        model.compile(rows_per_pass=64)
        model.fit(batches, verbose=0)  # traces
        start = time.process_time()
        model.fit(batches, verbose=0)
        found[kind]["cpu_seconds"] = round(time.process_time() - start, 1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5, help="rounds of four steps")
    parser.add_argument("--rows-per-pass", type=int, default=32, help="0: the whole batch")
    parser.add_argument("--matches", action="store_true", help="compare with the candidate")
    parser.add_argument("--padding", action="store_true", help="lists of uneven lengths")
    parser.add_argument("--rows", type=int, default=4096, help="of an epoch with --padding")
    parser.add_argument("--longest", type=int, default=2000, help="list with --padding")
    parser.add_argument("--one", type=int, help="measure this length here, print JSON")
    options = parser.parse_args(arguments)
    if options.padding:
        for name in options.models:
            print(json.dumps(padding(name, options.rows, options.longest, options.batch)))
        return 0
    if options.one:
        found = one(
            options.models[0],
            options.one,
            options.batch,
            options.steps,
            options.rows_per_pass or None,
            options.matches,
        )
        print(json.dumps(found))
        return 0
    results = []
    for name in options.models:
        for length in options.lengths:
            settings = ["--one", str(length), "--models", name, "--batch", str(options.batch),
                        "--steps", str(options.steps),
                        "--rows-per-pass", str(options.rows_per_pass),
                        *(["--matches"] if options.matches else [])]  # fmt: skip
            results.append(measuring.in_fresh_process("benchmarks.sequences_step", *settings))
            print(results[-1], flush=True)
        print(verdict(results[-len(options.lengths) :]), flush=True)
    measuring.record("sequences_step", {"runs": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
