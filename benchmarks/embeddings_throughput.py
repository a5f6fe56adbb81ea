"""Rows per second of many fields in several table sets.

`python -m benchmarks.embeddings_throughput` compares `FieldEmbedding` with
keras-rs's `DistributedEmbedding`, where every field and table set is a feature
of its own: 26 fields in 3 sets and 200 fields in 2, width 16, batch 4096. Both
give one concatenated vector per table set. Two measures, with the contenders
taking turns in one process:

- `gradients`: forward and backward, up to the gradients of all tables;
- `training`: the same, and the update of the tables by Adagrad: ours by
  `rankup_keras.optimizers.Adagrad`, theirs by Keras's.
"""

import argparse
import sys

import numpy as np

from benchmarks import measuring


def ours(fields: int, sets: int, rows: int, width: int):
    import tensorflow as tf

    from rankup_keras.features.spec import FieldSpec, TableSpec
    from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding

    layer = FieldEmbedding(
        [TableSpec(f"f{i}", rows) for i in range(fields)],
        [FieldSpec(f"f{i}", f"f{i}", i) for i in range(fields)],
        width,
        table_sets=sets,
    )

    def forward(ids):
        return tf.add_n([tf.reduce_sum(tf.square(x)) for x in layer(ids).values()])

    return layer, forward


def keras_rs(fields: int, sets: int, rows: int, width: int, batch: int):
    import keras_rs
    import tensorflow as tf

    configs = {}
    for s in range(sets):
        for i in range(fields):
            table = keras_rs.layers.TableConfig(
                name=f"t{s}_{i}",
                vocabulary_size=rows,
                embedding_dim=width,
                combiner="sum",
                placement="default_device",
            )
            configs[f"{s}_{i}"] = keras_rs.layers.FeatureConfig(
                name=f"{s}_{i}",
                table=table,
                input_shape=(batch, 1),
                output_shape=(batch, width),
            )
    layer = keras_rs.layers.DistributedEmbedding(configs)

    def forward(ids):
        columns = tf.split(ids, fields, axis=1)
        features = {f"{s}_{i}": columns[i] for s in range(sets) for i in range(fields)}
        rows = layer(features)
        joined = [tf.concat([rows[f"{s}_{i}"] for i in range(fields)], axis=1) for s in range(sets)]
        return tf.add_n([tf.reduce_sum(tf.square(x)) for x in joined])

    return layer, forward


def steps_of(layer, forward, optimizer, ids):
    """The two measured steps of one contender."""
    import tensorflow as tf

    forward(ids)
    tables = [v for v in layer.trainable_variables if v.shape.rank == 2]
    optimizer.build(tables)

    def gradients_of(ids):
        with tf.GradientTape() as tape:
            loss = forward(ids)
        return tape.gradient(loss, [v.value for v in tables])

    @tf.function
    def gradients(ids):
        return [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients_of(ids)]

    @tf.function
    def training(ids):
        optimizer.apply(gradients_of(ids), tables)

    return {"gradients": lambda: gradients(ids), "training": lambda: training(ids)}


def measure(fields: int, sets: int, rows: int, width: int, batch: int, rounds: int) -> dict:
    import keras
    import tensorflow as tf

    from rankup_keras.optimizers import Adagrad

    ids = tf.constant(np.random.default_rng(0).integers(1, rows, (batch, fields)), tf.int32)
    contenders = {
        "rankup_keras": steps_of(*ours(fields, sets, rows, width), Adagrad(0.01), ids),
        "keras_rs": steps_of(
            *keras_rs(fields, sets, rows, width, batch), keras.optimizers.Adagrad(0.01), ids
        ),
    }
    out = {}
    for measure_name in ("gradients", "training"):
        turns = {k: v[measure_name] for k, v in contenders.items()}
        seconds = measuring.in_turns(turns, 3 * rounds, warm_up=2)
        figures = {name: measuring.summary(values) for name, values in seconds.items()}
        for values in figures.values():
            values["rows_per_second"] = round(batch / values["median_ms"] * 1e3)
        ratios = {
            f"times_faster_{kind}": round(
                figures["keras_rs"][f"{kind}_ms"] / figures["rankup_keras"][f"{kind}_ms"], 2
            )
            for kind in ("best", "median")
        }
        out[measure_name] = {**figures, **ratios}
        print(
            f"{fields} fields x {sets} sets, {measure_name}: {out[measure_name]}", file=sys.stderr
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of every table")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--short", action="store_true", help="two rounds")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds = 2
    measuring.record(
        "embeddings_throughput_short" if arguments.short else "embeddings_throughput",
        {
            "rows_of_every_table": arguments.rows,
            **{
                f"{fields} fields x {sets} sets": measure(
                    fields, sets, arguments.rows, 16, arguments.batch, arguments.rounds
                )
                for fields, sets in ((26, 3), (200, 2))
            },
        },
    )


if __name__ == "__main__":
    main()
