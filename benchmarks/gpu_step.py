"""A whole model's training step on a GPU (or CPUs): through `fit`, by itself, and its dense part.

    python -m benchmarks.gpu_step                             # rankup_base, 40 fields of 100,000
    python -m benchmarks.gpu_step --rows 20000000 --fields 3  # cost by size of a table
    python -m benchmarks.gpu_step --mirrored                  # under MirroredStrategy
    python -m benchmarks.gpu_step --jit no                    # nothing compiled
    python -m benchmarks.gpu_step --prefetch                  # batches copied ahead of a step

Fields, a history of 50, eight numbers and two tasks, in mixed_bfloat16. One batch, encoded, is
repeated: `fit` reads it from the host at every step; the step by itself has it where TensorFlow
puts a constant. What `fit` does around an epoch, whatever its length, is no part of a step: an
epoch of few steps is taken off one of so many more. The dense part is what stands behind the
tables, on looked-up vectors, whose gradients it returns: the program that `gpu_check` counts, with
loss, metrics and update. All take turns. The figures, with device, driver and versions, go to
`results/gpu_step.json`.
"""

import argparse
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import measuring

TASKS = ("click", "buy")
CONTENDERS = ("fit", "step", "dense part")
# Steps of the epoch that is taken off.
FEW = 10


def rows_of(count: int, fields: int, table: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {
        f"field_{i}": (rng.zipf(1.2, count) % table).astype(np.int64) for i in range(fields)
    }
    for i in range(8):
        found[f"number_{i}"] = rng.lognormal(size=count).astype(np.float32)
    lengths = rng.integers(0, 50, count)
    found["history"] = [rng.integers(0, table, n).tolist() for n in lengths]
    for task in TASKS:
        found[task] = rng.integers(0, 2, count).astype(np.float32)
    return found


def model_of(o: argparse.Namespace) -> Any:
    """The preset behind its tables, compiled as asked for."""
    import rankup_keras as rk

    features = rk.FeatureSet(
        [
            *(rk.Categorical(f"field_{i}", num_ids=o.rows) for i in range(o.fields)),
            *(rk.Numeric(f"number_{i}", normalize=None) for i in range(8)),
            rk.History("history", of="field_0", max_length=50),
        ]
    )
    scope: Any = contextlib.nullcontext()
    if o.mirrored:
        devices = ["/gpu:0" if measuring.on_gpu() else "/cpu:0"]
        scope = rk.distribution.strategy("mirrored", devices=devices).scope()
    with scope:
        model = rk.from_preset(o.preset, features, list(TASKS))
        asked = {"auto": "auto", "yes": True, "no": False}
        optimizer = rk.optimizers.Split("adagrad", "adam")
        model.compile(optimizer, jit_compile=asked[o.jit], prefetch_to_device=o.prefetch)
    return model


def repeated(model: Any, encoded: Any, labels: Any, steps: int) -> Callable[[], Any]:
    """An epoch of `fit` over one batch."""
    import tensorflow as tf

    from rankup_keras.features.autotuning import without_autotuner

    batch = tf.data.Dataset.from_tensors((encoded, labels)).cache().repeat(steps)
    batch = without_autotuner(batch.prefetch(2))
    return lambda: model.fit(batch, epochs=1, verbose=0)


def by_itself(model: Any, data: Any, steps: int, jit: bool = False) -> Callable[[], Any]:
    """`steps` calls of a model's training step on one batch, without the loop of `fit`."""
    import tensorflow as tf

    step = tf.function(lambda: model.train_step(data), autograph=False, jit_compile=jit)

    def run() -> None:
        for _ in range(steps):
            logs = step()
        float(logs["loss"])  # waits for a GPU

    return run


def contenders(
    model: Any, encoded: Any, labels: Any, steps: int, names: Sequence[str]
) -> dict[str, Callable[[], Any]]:
    """Those of `fit`, the step by itself and its dense part alone that are named."""
    import tensorflow as tf

    turns: dict[str, Callable[[], Any]] = {}
    if "fit" in names:
        turns["fit"] = repeated(model, encoded, labels, steps + FEW)
        turns["few"] = repeated(model, encoded, labels, FEW)
    x = {name: tf.constant(value) for name, value in encoded.items()}
    y = {name: tf.constant(value) for name, value in labels.items()}
    if "step" in names:
        turns["step"] = by_itself(model, (x, y), steps)
    if "dense part" in names:
        turns["dense part"] = behind_tables(model, x, y, steps)
    return turns


def behind_tables(model: Any, x: Any, y: Any, steps: int) -> Callable[[], Any]:
    """`steps` calls of what `gpu_check` counts, on looked-up vectors, compiled whole."""
    import keras
    import tensorflow as tf

    from rankup_keras.distribution.ahead_of_time.training_step import dense_step
    from rankup_keras.models.dense_part import dense_part, inputs_of

    part = dense_part(model)
    looked_up = [model.get_layer(name).output for name in part.tables]
    lookup = keras.Model(model.input, keras.tree.flatten(looked_up))
    vectors = [tf.constant(v) for v in keras.tree.flatten(lookup(x))]
    labels = keras.tree.flatten({task: y[task] for task in model.output})
    tensors = [*vectors, *inputs_of(model, x), *labels]
    step = tf.function(dense_step(model, part), jit_compile=True, autograph=False)

    def run() -> None:
        for _ in range(steps):
            loss = step(*tensors)[0]
        float(loss)  # waits for a GPU

    return run


def steps_alone(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Of `fit` the steps that it has done more than in the epoch of few; others as they are."""
    found = dict(seconds)
    if "fit" in found:
        few = found.pop("few")
        found["fit"] = [s - less for s, less in zip(found["fit"], few, strict=True)]
    return found


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a step by contender, in this process."""
    import keras

    measuring.on_gpu()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(o.policy)
    model = model_of(o)
    rows = rows_of(o.batch, o.fields, o.rows)
    labels = {task: rows.pop(task)[:, None] for task in TASKS}
    # `fit` alone runs within the strategy.
    names = ["fit"] if o.mirrored else o.contenders
    turns = contenders(model, model.encode(rows), labels, o.steps, names)
    seconds = measuring.in_turns(turns, o.rounds, warm_up=1)
    seconds = steps_alone(seconds)
    weights = [v for v in model.trainable_variables if not getattr(v, "row_sparse", False)]
    found: dict[str, Any] = {
        name: measuring.summary([s / o.steps for s in values]) for name, values in seconds.items()
    }
    return found | {"dense_parameters": sum(int(np.prod(v.shape)) for v in weights)}


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
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
    parser.add_argument("--mirrored", action="store_true", help="`fit` alone")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    o = options_of()
    found = measure(o)
    if o.one:
        print(json.dumps(found))
        return
    key = f"{o.preset}, {o.fields} fields of {o.rows}, batch {o.batch}, {o.policy}, jit {o.jit}"
    key += ", prefetch" * o.prefetch + ", mirrored" * o.mirrored
    for name, times in found.items():
        if isinstance(times, dict):
            print(f"{key}: {name} {times['best_ms']} ms", flush=True)
    measuring.record("gpu_step", {key: found})


if __name__ == "__main__":
    main()
