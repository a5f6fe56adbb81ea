"""One training step by the size of the table, and the memory that training takes.

`python -m benchmarks.embeddings_step` trains a table of V x 16 read by 26 ids
per row, batch 1024, and one dense output, with Adagrad: this package, Keras's
`Embedding`, keras-rs's `DistributedEmbedding` and PyTorch's
`EmbeddingBag(sparse=True)` (where torch is installed). Each contender and V
has a process of its own, which runs epochs of twenty steps of `fit` (PyTorch:
of a loop), or of four where a step takes seconds; the processes take turns, and
the figure is the median of all epochs but the first. `peak_mib` is the peak
memory of the process above that of the same process with a table of 1,000 rows.
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np

from benchmarks import measuring

BATCH, IDS, WIDTH = 1024, 26, 16


def data(rows: int, steps: int):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, rows, (BATCH * steps, IDS)).astype(np.int32)
    return ids, rng.integers(0, 2, (BATCH * steps, 1)).astype(np.float32)


def by_fit(model, optimizer, rows: int, epochs: int, steps: int) -> list[float]:
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append((time.perf_counter() - self.start) / steps)

    seconds: list[float] = []
    batches = tf.data.Dataset.from_tensor_slices(data(rows, steps)).batch(BATCH).prefetch(2)
    # tf.data's autotuner rounds the time of a short epoch up to .15, .3, .6 s.
    quick = tf.data.Options()
    quick.autotune.enabled = False
    model.compile(optimizer, "binary_crossentropy")
    model.fit(batches.with_options(quick), epochs=epochs, verbose=0, callbacks=[Clock()])
    return seconds


def rankup_keras(rows: int, epochs: int, steps: int) -> list[float]:
    import keras

    from rankup_keras.features.spec import FieldSpec, TableSpec
    from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
    from rankup_keras.optimizers import Adagrad, Split

    ids = keras.Input((IDS,), dtype="int32")
    fields = [FieldSpec(f"f{i}", "t", i) for i in range(IDS)]
    vectors = FieldEmbedding([TableSpec("t", rows)], fields, WIDTH)(ids)["shared"]
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(vectors))
    return by_fit(model, Split(Adagrad(0.01), Adagrad(0.01)), rows, epochs, steps)


def keras_embedding(rows: int, epochs: int, steps: int) -> list[float]:
    import keras

    ids = keras.Input((IDS,), dtype="int32")
    vectors = keras.layers.Flatten()(keras.layers.Embedding(rows, WIDTH)(ids))
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(vectors))
    return by_fit(model, keras.optimizers.Adagrad(0.01), rows, epochs, steps)


def keras_rs(rows: int, epochs: int, steps: int) -> list[float]:
    import keras
    import keras_rs

    table = keras_rs.layers.TableConfig(
        name="t", vocabulary_size=rows, embedding_dim=WIDTH, placement="default_device"
    )
    configs = {
        f"f{i}": keras_rs.layers.FeatureConfig(
            name=f"f{i}", table=table, input_shape=(BATCH, 1), output_shape=(BATCH, WIDTH)
        )
        for i in range(IDS)
    }
    ids = keras.Input((IDS,), dtype="int32")
    columns = {f"f{i}": ids[:, i : i + 1] for i in range(IDS)}
    vectors = keras_rs.layers.DistributedEmbedding(configs)(columns)
    joined = keras.layers.Concatenate()([vectors[f"f{i}"] for i in range(IDS)])
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(joined))
    return by_fit(model, keras.optimizers.Adagrad(0.01), rows, epochs, steps)


def torch(rows: int, epochs: int, steps: int) -> list[float]:
    import torch

    ids, labels = (torch.from_numpy(x) for x in data(rows, steps))
    table = torch.nn.EmbeddingBag(rows, WIDTH, mode="sum", sparse=True)
    dense = torch.nn.Linear(IDS * WIDTH, 1)
    loss_of = torch.nn.BCEWithLogitsLoss()
    optimizers = [torch.optim.Adagrad(m.parameters(), 0.01) for m in (table, dense)]
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for step in range(steps):
            batch = slice(step * BATCH, (step + 1) * BATCH)
            vectors = table(ids[batch].reshape(-1, 1)).reshape(BATCH, IDS * WIDTH)
            loss = loss_of(dense(vectors), labels[batch])
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        loss.item()
        seconds.append((time.perf_counter() - start) / steps)
    return seconds


CONTENDERS = {
    "rankup_keras": rankup_keras,
    "keras_embedding": keras_embedding,
    "keras_rs": keras_rs,
    "torch": torch,
}


def installed(name: str) -> bool:
    import importlib.util

    return name != "torch" or importlib.util.find_spec("torch") is not None


def measure(sizes: list[int], rounds: int, names: list[str]) -> dict:
    seconds: dict[str, dict[int, list[float]]] = {n: {s: [] for s in sizes} for n in names}
    peaks: dict[str, dict[int, float]] = {n: {} for n in names}
    for turn in range(rounds):
        for size in [1000, *sizes] if turn == 0 else sizes:
            for name in names:
                slow = name.startswith("keras") and size > 5_000_000
                amounts = ["--epochs", "3" if slow else "6", "--steps", "4" if slow else "20"]
                out = measuring.in_fresh_process(
                    "benchmarks.embeddings_step", "--contender", name, "--size", str(size), *amounts
                )
                peaks[name].setdefault(size, out["peak_mib"])
                if size != 1000:
                    seconds[name][size] += out["seconds"][1:]
                    figures = measuring.summary(seconds[name][size])
                    print(f"V = {size:>11,}  {name:<16} {figures}", file=sys.stderr, flush=True)
    results: dict = {}
    for size in sizes:
        own = statistics.median(seconds["rankup_keras"][size])
        results[f"V = {size}"] = {
            name: {
                **measuring.summary(seconds[name][size]),
                "times_ours": round(statistics.median(seconds[name][size]) / own, 2),
                "peak_mib": round(peaks[name][size] - peaks[name][1000]),
                "peak_over_table_and_slot": round(
                    (peaks[name][size] - peaks[name][1000]) / (2 * 4 * WIDTH * size / 2**20), 3
                ),
            }
            for name in names
        }
    first, last = sizes[0], sizes[-1]
    results[f"step at {last} rows over step at {first}"] = {
        name: round(
            statistics.median(seconds[name][last]) / statistics.median(seconds[name][first]), 2
        )
        for name in names
    }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 20_000_000])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--short", action="store_true", help="a million rows, one round")
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    if arguments.contender:
        seconds = CONTENDERS[arguments.contender](arguments.size, arguments.epochs, arguments.steps)
        print(json.dumps({"seconds": seconds, "peak_mib": measuring.peak_mib()}))
        return
    names = [name for name in CONTENDERS if installed(name)]
    if arguments.short:
        arguments.sizes, arguments.rounds = [100_000, 1_000_000], 1
    name = "embeddings_step_short" if arguments.short else "embeddings_step"
    measuring.record(name, measure(arguments.sizes, arguments.rounds, names))


if __name__ == "__main__":
    main()
