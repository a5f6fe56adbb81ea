"""Ways of updating rows of a large table by Adagrad, given the summed gradient of each row.

`python -m benchmarks.embeddings_update` times TensorFlow's fused kernel
(`ResourceSparseApplyAdagrad`) against reading rows, computing, and writing
rows, as `rankup_keras.optimizers.Adagrad` does, in turns in one process.
"""

import argparse

import numpy as np

from benchmarks import measuring


def measure(updates: int, rows: int, width: int, rounds: int) -> dict:
    import tensorflow as tf

    from rankup_keras.optimizers.row_sparse import read_rows, write_rows

    table = tf.Variable(tf.zeros((rows, width)))
    slot = tf.Variable(tf.fill((rows, width), 0.1))
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(8):
        ids = np.unique(rng.integers(0, rows, updates)).astype(np.int32)
        batches.append((tf.constant(ids), tf.random.normal((len(ids), width))))
    rate = tf.constant(0.01)

    @tf.function(reduce_retracing=True)
    def fused(ids, gradient):
        tf.raw_ops.ResourceSparseApplyAdagrad(
            var=table.handle, accum=slot.handle, lr=rate, grad=gradient, indices=ids
        )

    @tf.function(reduce_retracing=True)
    def rows_in_and_out(ids, gradient):
        accumulator = read_rows(slot, ids) + tf.square(gradient)
        step = rate * gradient * tf.math.rsqrt(accumulator + 1e-7)
        write_rows(slot, ids, accumulator)
        write_rows(table, ids, read_rows(table, ids) - step)

    def next_batch(step):
        turn = iter(range(10**9))
        return lambda: step(*batches[next(turn) % len(batches)])

    steps = {"fused_kernel": next_batch(fused), "gather_and_scatter": next_batch(rows_in_and_out)}
    seconds = measuring.in_turns(steps, 3 * rounds, warm_up=5)
    figures = {k: measuring.summary(v) for k, v in seconds.items()}
    return {
        **figures,
        "times_faster_median": round(
            figures["fused_kernel"]["median_ms"] / figures["gather_and_scatter"]["median_ms"], 2
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    measuring.record(
        "embeddings_update",
        {
            f"{updates} updates of {arguments.rows} x 16": measure(
                updates, arguments.rows, 16, arguments.rounds
            )
            for updates in (26_624, 319_488)
        },
    )


if __name__ == "__main__":
    main()
