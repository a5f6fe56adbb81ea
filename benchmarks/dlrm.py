"""A DLRM of Criteo's shape: this package, plain Keras 3 with keras-rs, and TFRS's `Ranking`.

    python -m benchmarks.dlrm            # 26 tables of 100,000 rows, batch 4096; about 3 minutes
    python -m benchmarks.dlrm --short    # one round
    python -m benchmarks.dlrm --model dcnv2    # a DCNv2 in its place, without TFRS

26 tables of V x 16, 13 numbers, bottom network 64-16, dot interaction, top network 64-64-1,
Adagrad for tables and Adam for the rest (TFRS's own default pairing; the peer on Keras 3 trains
all with Adagrad, its only rule with rows). Ids are given as integers below V, which the peers look
up as they are and this package's model encodes in every step (missing, out of range). Every
contender has a process of its own and trains by `fit`, 40 steps an epoch; the processes take turns.
TFRS needs Keras 2, `TF_USE_LEGACY_KERAS=1`, and the extra [tfrs].

The DCNv2 gives every number a vector of 16 as well, has two full cross layers (keras-rs's
`FeatureCross` on both sides) on the 39 x 16 entries beside a deep network 64-64, and a tower of the
two.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring

FIELDS, NUMBERS, WIDTH = 26, 13, 16
# Different batches, and how often an epoch has each.
BATCHES, REPEATS = 10, 4
CONTENDERS = ("rankup_keras", "keras_rs", "tfrs")
MODELS = {"dlrm": CONTENDERS, "dcnv2": CONTENDERS[:2]}


def data(rows: int, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    count = batch * BATCHES
    ids = rng.integers(0, rows, (count, FIELDS))
    return ids, rng.normal(size=(count, NUMBERS)).astype("float32"), rng.integers(0, 2, (count, 1))


def rankup_keras(kind: str, rows: int, batch: int) -> tuple[Any, Any, Any]:
    import rankup_keras as rk

    ids, numbers, labels = data(rows, batch)
    columns = {f"c{i}": ids[:, i] for i in range(FIELDS)}
    columns |= {f"n{i}": numbers[:, i] for i in range(NUMBERS)}
    features = rk.FeatureSet(
        [rk.Categorical(f"c{i}", num_ids=rows) for i in range(FIELDS)]
        + [rk.Numeric(f"n{i}", normalize=None) for i in range(NUMBERS)]
    )
    model: Any
    if kind == "dlrm":
        model = rk.models.DLRM(features, ["y"], top_units=(64, 64), embedding_dim=WIDTH)
    else:
        model = rk.models.DCNv2(features, ["y"], hidden_units=(64, 64), embedding_dim=WIDTH)
    model.compile(rk.optimizers.Split(), metrics=[])
    return model, columns, {"y": labels.astype("float32")}


def keras_rs(kind: str, rows: int, batch: int) -> tuple[Any, Any, Any]:
    import keras
    import keras_rs as rs
    from keras import layers

    ids, numbers, labels = data(rows, batch)
    configs = {
        f"c{i}": rs.layers.FeatureConfig(
            name=f"c{i}",
            table=rs.layers.TableConfig(
                name=f"t{i}",
                vocabulary_size=rows,
                embedding_dim=WIDTH,
                placement="default_device",
            ),
            input_shape=(batch, 1),
            output_shape=(batch, WIDTH),
        )
        for i in range(FIELDS)
    }
    given = {f"c{i}": keras.Input((1,), dtype="int32", name=f"c{i}") for i in range(FIELDS)}
    dense = keras.Input((NUMBERS,), name="numbers")
    vectors = rs.layers.DistributedEmbedding(configs)(given)
    if kind == "dlrm":
        bottom = layers.Dense(WIDTH, "relu")(layers.Dense(64, "relu")(dense))
        dots = rs.layers.DotInteraction()([*vectors.values(), bottom])
        x = layers.Concatenate()([dots, bottom])
        for units in (64, 64):
            x = layers.Dense(units, "relu")(x)
    else:
        scaled = layers.EinsumDense("bn,nd->bnd", (NUMBERS, WIDTH), bias_axes="nd")(dense)
        base = layers.Concatenate()([*vectors.values(), layers.Flatten()(scaled)])
        crossed = base
        for _ in range(2):
            crossed = rs.layers.FeatureCross()(base, crossed)
        deep = layers.Dense(64, "relu")(layers.Dense(64, "relu")(base))
        x = layers.Concatenate()([crossed, deep])
    model = keras.Model({**given, "numbers": dense}, layers.Dense(1, "sigmoid")(x))
    model.compile("adagrad", "binary_crossentropy")
    columns = {f"c{i}": ids[:, i : i + 1].astype("int32") for i in range(FIELDS)}
    return model, {**columns, "numbers": numbers}, labels.astype("float32")


def tfrs(kind: str, rows: int, batch: int) -> tuple[Any, Any, Any]:
    import tensorflow as tf
    import tensorflow_recommenders as recommenders
    import tf_keras

    ids, numbers, labels = data(rows, batch)
    features = {
        str(i): tf.tpu.experimental.embedding.FeatureConfig(
            table=tf.tpu.experimental.embedding.TableConfig(rows, WIDTH)
        )
        for i in range(FIELDS)
    }
    embedding = recommenders.layers.embedding.TPUEmbedding(
        features, tf_keras.optimizers.legacy.Adagrad(0.01)
    )
    model = recommenders.experimental.models.Ranking(
        embedding_layer=embedding,
        bottom_stack=recommenders.layers.blocks.MLP(units=[64, WIDTH], final_activation="relu"),
        feature_interaction=recommenders.layers.feature_interaction.DotInteraction(
            skip_gather=True
        ),
        top_stack=recommenders.layers.blocks.MLP(units=[64, 64, 1], final_activation="sigmoid"),
    )
    optimizer = recommenders.experimental.optimizers.CompositeOptimizer(
        [
            (tf_keras.optimizers.legacy.Adagrad(0.01), lambda: model.embedding_trainable_variables),
            (tf_keras.optimizers.legacy.Adam(), lambda: model.dense_trainable_variables),
        ]
    )
    model.compile(optimizer, steps_per_execution=1)
    sparse = {str(i): ids[:, i] for i in range(FIELDS)}
    columns = {"dense_features": numbers, "sparse_features": sparse}
    return model, columns, labels.astype("float32").reshape(-1)


def run(name: str, kind: str, rows: int, batch: int, epochs: int = 4) -> list[float]:
    """Samples per second of every epoch but the first."""
    import tensorflow as tf

    model, x, y = globals()[name](kind, rows, batch)
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch, drop_remainder=True)
    # Batches stand ready, for input is not what is compared.
    dataset = dataset.cache().repeat(REPEATS).with_options(options)
    rates = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.fit(dataset, epochs=1, verbose=0)
        rates.append(BATCHES * REPEATS * batch / (time.perf_counter() - start))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows-a-table", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="dlrm", choices=MODELS)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, help="default: all")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.short:
        o.rounds = 1
    if o.one:
        print(json.dumps(run(o.one, o.model, o.rows_a_table, o.batch)))
        return
    contenders = o.contenders or MODELS[o.model]
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(o.rounds):
        for name in contenders:
            options = ["--one", name, "--model", o.model]
            options += ["--rows-a-table", str(o.rows_a_table), "--batch", str(o.batch)]
            legacy = {"TF_USE_LEGACY_KERAS": "1"} if name == "tfrs" else {}
            rates[name] += measuring.in_fresh_process(
                "benchmarks.dlrm", *options, environment=legacy
            )
    own = statistics.median(rates["rankup_keras"]) if "rankup_keras" in rates else None
    found: dict[str, Any] = {}
    for name, values in rates.items():
        median = statistics.median(values)
        found[name] = {"samples_a_second": round(median), "lowest": round(min(values))}
        found[name]["highest"] = round(max(values))
        if own:
            found[name]["ours_is"] = round(own / median, 2)
    print(json.dumps(found, indent=1))
    key = f"{o.model}, V {o.rows_a_table}, batch {o.batch}"
    measuring.record("dlrm_short" if o.short else "dlrm", {key: found})


if __name__ == "__main__":
    main()
