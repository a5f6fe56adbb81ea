"""Training of one small table by one optimizer, for tests of optimizers."""

import keras
import numpy as np
import tensorflow as tf

ROWS, WIDTH, STEPS = 40, 4, 50


def batches(seed=0, steps=STEPS):
    """Repeated ids of the first 30 rows, so that some rows are never touched."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        ids = rng.integers(0, 30, 24).astype(np.int32)
        yield ids, 0.3 * rng.normal(size=(24, WIDTH)).astype(np.float32)


def initial_table():
    return np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, WIDTH)).astype(np.float32)


def train(optimizer, as_dense=False):
    table = keras.Variable(initial_table())

    @tf.function
    def step(ids, values):
        gradient = tf.IndexedSlices(values, ids, tf.constant([ROWS, WIDTH], tf.int64))
        if as_dense:
            gradient = tf.math.unsorted_segment_sum(values, ids, ROWS)
        optimizer.apply([gradient], [table])

    for ids, values in batches():
        step(ids, values)
    return table.numpy(), [v.numpy() for v in optimizer.variables[2:]]


def summed(ids, values):
    total = np.zeros((ROWS, WIDTH))
    np.add.at(total, ids, values)
    return np.unique(ids), total


def check_equals_dense(ours, theirs, arguments):
    """That rows are trained as Keras trains them, given every row's gradient written out."""
    table, slots = train(ours(**arguments))
    wanted, wanted_slots = train(theirs(**arguments), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=1e-6, rtol=0)
    for slot, reference in zip(slots, wanted_slots, strict=True):
        scale = max(1.0, np.abs(reference).max())  # FTRL's linear slot passes 10
        np.testing.assert_allclose(slot, reference, atol=1e-6 * scale, rtol=0)


def check_serves_dense_gradients(ours, theirs, arguments):
    """That a dense gradient is trained on as Keras does."""
    table, _ = train(ours(**arguments), as_dense=True)
    wanted, _ = train(theirs(**arguments), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=1e-6, rtol=0)
