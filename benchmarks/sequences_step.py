"""Training step and memory against the number of events.

    python -m benchmarks.sequences_step                 # 50, 200, 1,000 events, each in a process
    python -m benchmarks.sequences_step --one 200       # one of them, as JSON

Random rows whose lists are full; a step is one batch of `--batch` encoded rows.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import rankup_keras as rk
from benchmarks import measuring

MODELS = {
    "rankup": {"token_dim": 64, "sequence_encoder": "attention"},
    "mixformer": {"token_dim": 64, "num_heads": 4},
    "hyformer": {"token_dim": 64},
}


def features(length: int, items: int = 100_000) -> rk.FeatureSet:
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


def one(name: str, length: int, batch: int, steps: int) -> dict[str, Any]:
    """Median seconds of a step, and the most memory held, tables and optimizer's included."""
    import tensorflow as tf

    own = features(length)
    model = model_of(name, own)
    model.compile()
    encoded = model.encode(rows(batch, length))
    x = {key: tf.constant(value) for key, value in encoded.items()}
    y = {"click": tf.constant(np.random.default_rng(0).integers(0, 2, (batch, 1)), tf.float32)}
    data = tf.data.Dataset.from_tensors((x, y)).repeat()
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
        "step_ms": round(1e3 * statistics.median(seconds), 2),
        "peak_mib": round(max(before, measuring.peak_mib())),
        "flops": rk.models.measure(model).flops,
        "parameters": model.count_params(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5, help="rounds of four steps")
    parser.add_argument("--one", type=int, help="measure this length here, print JSON")
    options = parser.parse_args(arguments)
    if options.one:
        found = one(options.models[0], options.one, options.batch, options.steps)
        print(json.dumps(found))
        return 0
    results = []
    for name in options.models:
        for length in options.lengths:
            settings = ["--one", str(length), "--models", name, "--batch", str(options.batch),
                        "--steps", str(options.steps)]  # fmt: skip
            results.append(measuring.in_fresh_process("benchmarks.sequences_step", *settings))
            print(results[-1], flush=True)
    measuring.record("sequences_step", {"runs": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
