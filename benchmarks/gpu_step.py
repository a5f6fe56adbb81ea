"""A whole model's training step on a GPU (or CPUs) through `fit`, from encoded batches.

    python -m benchmarks.gpu_step                             # rankup_base, 40 fields of 100,000
    python -m benchmarks.gpu_step --rows 20000000 --fields 1  # cost by size of a table
    python -m benchmarks.gpu_step --mirrored                  # under MirroredStrategy
    python -m benchmarks.gpu_step --jit no                    # nothing compiled
    python -m benchmarks.gpu_step --prefetch                  # batches copied ahead of a step

Fields, a history of 50, eight numbers and two tasks, in mixed_bfloat16. One batch, encoded, is
repeated: `fit` reads it from the host at every step. The figures, with device, driver and versions,
go to `results/gpu_step.json`.
"""

import argparse
import contextlib

import numpy as np

from benchmarks import measuring


def rows_of(count, fields, table):
    rng = np.random.default_rng(0)
    found = {f"field_{i}": (rng.zipf(1.2, count) % table).astype(np.int64) for i in range(fields)}
    for i in range(8):
        found[f"number_{i}"] = rng.lognormal(size=count).astype(np.float32)
    lengths = rng.integers(0, 50, count)
    found["history"] = [rng.integers(0, table, n).tolist() for n in lengths]
    for task in ("click", "buy"):
        found[task] = rng.integers(0, 2, count).astype(np.float32)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="rankup_base")
    parser.add_argument("--fields", type=int, default=40)
    parser.add_argument("--rows", type=int, default=100_000, help="of every table")
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policy", default="mixed_bfloat16")
    parser.add_argument("--jit", choices=("auto", "yes", "no"), default="auto")
    parser.add_argument("--prefetch", action="store_true")
    parser.add_argument("--mirrored", action="store_true")
    o = parser.parse_args()

    import keras
    import tensorflow as tf

    import rankup_keras as rk

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(o.policy)
    features = rk.FeatureSet(
        [
            *(rk.Categorical(f"field_{i}", num_ids=o.rows) for i in range(o.fields)),
            *(rk.Numeric(f"number_{i}", normalize=None) for i in range(8)),
            rk.History("history", of="field_0", max_length=50),
        ]
    )
    scope = rk.distribution.strategy("mirrored").scope() if o.mirrored else contextlib.nullcontext()
    with scope:
        model = rk.from_preset(o.preset, features, ["click", "buy"])
        asked = {"auto": "auto", "yes": True, "no": False}
        optimizer = rk.optimizers.Split("adagrad", "adam")
        model.compile(optimizer, jit_compile=asked[o.jit], prefetch_to_device=o.prefetch)
    rows = rows_of(o.batch, o.fields, o.rows)
    labels = {task: rows.pop(task)[:, None] for task in ("click", "buy")}
    batch = tf.data.Dataset.from_tensors((model.encode(rows), labels)).cache().repeat(o.steps)
    options = tf.data.Options()
    options.autotune.enabled = False
    batch = batch.with_options(options).prefetch(2)
    found = measuring.in_turns(
        {"fit": lambda: model.fit(batch, epochs=1, verbose=0)}, o.rounds, warm_up=1
    )
    dense = sum(
        int(np.prod(v.shape))
        for v in model.trainable_variables
        if not getattr(v, "row_sparse", False)
    )
    step = measuring.summary([s / o.steps for s in found["fit"]])
    key = f"{o.preset}, {o.fields} fields of {o.rows}, batch {o.batch}, {o.policy}, jit {o.jit}"
    key += ", mirrored" if o.mirrored else ""
    print(f"{key}: {step['best_ms']} ms a step, {dense:,} dense parameters", flush=True)
    measuring.record("gpu_step", {key: {**step, "dense_parameters": dense}})


if __name__ == "__main__":
    main()
