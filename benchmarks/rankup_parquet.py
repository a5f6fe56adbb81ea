"""RankUp complete, reading Parquet, against its own dense stack; and how long steps wait for rows.

    python -m benchmarks.rankup_parquet              # three shapes, about 6 minutes
    python -m benchmarks.rankup_parquet --short      # the smallest, shorter epochs
    python -m benchmarks.rankup_parquet --shape 16,256,2,4 --seconds 60

Rows of Criteo's shape and more, made up: 26 fields of hexadecimal words, 13 numbers, a history of
20 items, two pretrained vectors, two labels. The model has every family of tokens (sparse, global,
dense, sequence, interaction, crossed, task), and trains by `fit` with `Split` while `EffectiveRank`
watches. Three take turns in one process, every one over as many batches, the stack for `--seconds`:

- `stack`: the same blocks, norm, pooling and towers alone, fed with tokens;
- `encoded`: the whole model on one batch that stands ready;
- `parquet`: the whole model, rows read, encoded and shuffled, the callback on; timed from the end
  of an epoch to the end of the next, so that what begins and ends an epoch is in it.

`of_stack` is a rate as a share of the stack's. `waits` is the share of an epoch that steps stand
waiting for a batch, in `IteratorGetNext`, as TensorFlow's profiler sees it; most of it at the
beginning, where a buffer of 131,072 rows fills before it is shuffled. `callback` is the share that
`EffectiveRank` takes, which measures once per epoch: the longer the epoch, the less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import measuring

SHAPES = ("16,256,2,4", "32,512,2,2", "16,64,2,2")
FIELDS, NUMBERS, HISTORY, VECTOR, BUCKETS = 26, 13, 20, 32, 100_000
# Tokens that are not sparse ones: global, dense, sequence, interaction, crossed, two tasks.
OTHER_TOKENS = 7


def write_rows(path: Path, rows: int) -> None:
    """One Parquet file, its values skewed as those of logs are."""
    rng = np.random.default_rng(0)

    def words(count: int) -> pa.Array:
        places = (BUCKETS * rng.random(count) ** 4).astype(np.int64)
        return pa.array([f"{place:08x}" for place in places.tolist()])

    columns: dict[str, Any] = {f"c{i}": words(rows) for i in range(FIELDS)}
    columns |= {f"n{i}": rng.lognormal(size=rows).astype("float32") for i in range(NUMBERS)}
    offsets = np.arange(0, HISTORY * rows + 1, HISTORY, dtype=np.int32)
    columns["history"] = pa.ListArray.from_arrays(offsets, words(HISTORY * rows))
    for name in ("user_vector", "item_vector"):
        values = pa.array(rng.normal(size=rows * VECTOR).astype("float32"))
        columns[name] = pa.FixedSizeListArray.from_arrays(values, VECTOR)
    for task in ("click", "like"):
        columns[task] = (rng.random(rows) < 0.2).astype("int8")
    pq.write_table(pa.table(columns), path, row_group_size=16_384)


def whole_model(tokens: int, width: int, blocks: int, expansion: int) -> Any:
    """RankUp with all of its token families."""
    import rankup_keras as rk

    features = rk.FeatureSet(
        [rk.Categorical(f"c{i}", hash_buckets=BUCKETS) for i in range(FIELDS)]
        + [rk.Numeric(f"n{i}", normalize=None) for i in range(NUMBERS)]
        + [rk.History("history", of="c0", max_length=HISTORY)]
        + [rk.Pretrained("user_vector", VECTOR), rk.Pretrained("item_vector", VECTOR)]
    )
    return rk.RankUp(
        features,
        ["click", "like"],
        token_dim=width,
        num_sparse_tokens=tokens - OTHER_TOKENS,
        num_blocks=blocks,
        expansion=expansion,
        interactions=[("c1", "c2")],
        crosses=[("user_vector", "item_vector")],
    )


def dense_stack(tokens: int, width: int, blocks: int, expansion: int) -> Any:
    """What follows the tokens in `whole_model`, behind an input (batch, T, D)."""
    import keras

    from rankup_keras.layers.mixers.residual import make_norm
    from rankup_keras.layers.tokens import TokenAssembly
    from rankup_keras.layers.towers import TaskTowers, TokenPooling
    from rankup_keras.models.stack import mixer_stack

    policy = keras.config.dtype_policy()
    inputs = keras.Input((tokens, width))
    x = TokenAssembly(name="tokens")([inputs])
    settings = {"expansion": expansion}
    x = mixer_stack(x, blocks, "swiglu", settings, policy, placement="pre", norm="layer_norm")
    x = make_norm("layer_norm", 1e-6, policy, "final_norm")(x)
    pooled = TokenPooling("mean", 2)(x)
    return keras.Model(inputs, TaskTowers(["click", "like"])(*pooled))


def one_batch(x: Any, y: Any, steps: int) -> Any:
    """A batch that stands ready, `steps` times."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors((x, y)).cache().repeat(steps).with_options(options)


def cell(
    shape: list[int], batch: int, dtype: str, length: float, rounds: int, path: Path
) -> dict[str, Any]:
    """One row of the table, in this process."""
    import keras

    import rankup_keras as rk

    if dtype == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model, stack = whole_model(*shape), dense_stack(*shape)
    model.compile(rk.optimizers.Split())
    losses = {task.name: task.loss for task in model.tasks}
    stack.compile(rk.optimizers.Split(), losses)

    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(batch, *shape[:2])).astype("float32")
    labels = {name: rng.integers(0, 2, (batch, 1)).astype("float32") for name in losses}
    steps = max(4, round(length / step_of(stack, tokens, labels)))
    write_rows(path, batch * steps)
    files = rk.data.Files(path, model.features, list(losses))
    files.rows = batch * steps
    rows = files.dataset(batch, shuffle=True, encoded=True)
    columns, _ = next(iter(rows))
    ready, prepared = one_batch(columns, labels, steps), one_batch(tokens, labels, steps)
    model.fit(ready.take(2), verbose=0)
    ranks = rk.callbacks.EffectiveRank(columns, control=None)
    second = second_epochs()

    turns: dict[str, Callable[[], Any]] = {
        "stack": lambda: stack.fit(prepared, verbose=0, shuffle=False),
        "encoded": lambda: model.fit(ready, verbose=0),
        "parquet": lambda: model.fit(rows, epochs=2, verbose=0, callbacks=[ranks, second]),
    }
    seconds = measuring.in_turns(turns, rounds, warm_up=0)
    seconds["parquet"] = second.seconds
    result: dict[str, Any] = {"steps_an_epoch": steps}
    for name, values in seconds.items():
        rate = [base / own for base, own in zip(seconds["stack"], values, strict=True)]
        result[name] = {
            "of_stack": round(statistics.median(rate), 3),
            "rows_a_second": round(batch * steps / statistics.median(values)),
            **measuring.summary([value / steps for value in values]),
        }
    result["parquet"]["waits"] = round(waiting(lambda: model.fit(rows, verbose=0)), 4)
    result["parquet"]["callback"] = round(ranks.overhead, 4)
    return result


def step_of(stack: Any, tokens: Any, labels: Any) -> float:
    """Seconds of one training step."""
    steps = 4
    batch = one_batch(tokens, labels, steps)
    stack.fit(batch, verbose=0)
    began = time.perf_counter()
    stack.fit(batch, verbose=0)
    return (time.perf_counter() - began) / steps


def second_epochs() -> Any:
    """A callback that times the second epoch of every `fit`, the callbacks before it included."""
    import keras

    class Timed(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.began = 0.0
            self.seconds: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            if epoch == 1:
                self.seconds.append(now - self.began)
            self.began = now

    return Timed()


def waiting(work: Callable[[], Any]) -> float:
    """The share of `work`'s time in which `IteratorGetNext` waits."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        began = time.perf_counter()
        work()
        whole = time.perf_counter() - began
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        (found,) = Path(folder).glob("**/*.xplane.pb")
        space.ParseFromString(found.read_bytes())
    waited = 0
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                if names[event.metadata_id].startswith("IteratorGetNextOp::DoCompute"):
                    waited += event.duration_ps
    return waited / 1e12 / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", nargs="+", default=list(SHAPES), help="T,D,L,k")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--dtype", nargs="+", default=["float32"])
    parser.add_argument("--seconds", type=float, default=8, help="of an epoch of the stack")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.one:
        shape = [int(n) for n in o.shape[0].split(",")]
        print(json.dumps(cell(shape, o.batch, o.dtype[0], o.seconds, o.rounds, o.one)))
        return
    if o.short:
        o.shape, o.seconds, o.rounds = ["16,64,2,2"], 4, 1
    for shape in o.shape:
        for dtype in o.dtype:
            run_cell(shape, dtype, o)


def run_cell(shape: str, dtype: str, o: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.rankup_parquet", "--shape", shape]
        command += ["--batch", str(o.batch), "--dtype", dtype, "--seconds", str(o.seconds)]
        command += ["--rounds", str(o.rounds), "--one", str(Path(folder) / "rows.parquet")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shape}, {dtype} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    key = f"T,D,L,k {shape}, batch {o.batch}, {dtype}"
    read = found["parquet"]
    print(
        f"{key}: {read['rows_a_second']} rows/s, {read['of_stack']} of the stack's rate "
        f"({found['encoded']['of_stack']} without reading); waits {read['waits']:.1%}, "
        f"callback {read['callback']:.1%}",
        flush=True,
    )
    measuring.record("rankup_parquet_short" if o.short else "rankup_parquet", {key: found})


if __name__ == "__main__":
    main()
