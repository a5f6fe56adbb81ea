"""Row-sparse optimizers against Keras's dense ones, and against NumPy forms of their equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import optimizers
from rankup_keras.optimizers.row_sparse import summed_rows

ROWS, WIDTH, STEPS = 40, 4, 50


def batches(seed=0, steps=STEPS):
    """Repeated ids of the first 30 rows, so that some rows are never touched."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        ids = rng.integers(0, 30, 24).astype(np.int32)
        yield ids, 0.3 * rng.normal(size=(24, WIDTH)).astype(np.float32)


def train(optimizer, as_dense=False):
    table = keras.Variable(
        np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, WIDTH)).astype(np.float32)
    )

    @tf.function
    def step(ids, values):
        gradient = tf.IndexedSlices(values, ids, tf.constant([ROWS, WIDTH], tf.int64))
        if as_dense:
            gradient = tf.math.unsorted_segment_sum(values, ids, ROWS)
        optimizer.apply([gradient], [table])

    for ids, values in batches():
        step(ids, values)
    return table.numpy(), [v.numpy() for v in optimizer.variables[2:]]


PAIRS = {
    "sgd": (optimizers.SGD, keras.optimizers.SGD, {"learning_rate": 0.1}),
    "adagrad": (optimizers.Adagrad, keras.optimizers.Adagrad, {"learning_rate": 0.1}),
    "adagrad_from_zero": (
        optimizers.Adagrad,
        keras.optimizers.Adagrad,
        {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3},
    ),
    "ftrl": (optimizers.Ftrl, keras.optimizers.Ftrl, {"learning_rate": 0.1}),
    "ftrl_regularised": (
        optimizers.Ftrl,
        keras.optimizers.Ftrl,
        {
            "learning_rate": 0.05,
            "l1_regularization_strength": 0.2,
            "l2_regularization_strength": 0.03,
            "learning_rate_power": -0.7,
            "beta": 0.1,
        },
    ),
    "clipnorm": (
        optimizers.Adagrad,
        keras.optimizers.Adagrad,
        {"learning_rate": 0.1, "clipnorm": 0.5},
    ),
    "clipvalue": (optimizers.SGD, keras.optimizers.SGD, {"learning_rate": 0.1, "clipvalue": 0.1}),
    "global_clipnorm": (
        optimizers.Adagrad,
        keras.optimizers.Adagrad,
        {"learning_rate": 0.1, "global_clipnorm": 0.5},
    ),
    "schedule": (
        optimizers.Adagrad,
        keras.optimizers.Adagrad,
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)},
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_equals_the_dense_optimizer_on_every_row(case):
    ours, theirs, arguments = PAIRS[case]
    table, slots = train(ours(**arguments))
    wanted, wanted_slots = train(theirs(**arguments), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=1e-6, rtol=0)
    for slot, reference in zip(slots, wanted_slots, strict=True):
        scale = max(1.0, np.abs(reference).max())  # FTRL's linear slot passes 10
        np.testing.assert_allclose(slot, reference, atol=1e-6 * scale, rtol=0)


@pytest.mark.parametrize("case", PAIRS)
def test_dense_gradients_are_served_too(case):
    ours, theirs, arguments = PAIRS[case]
    table, _ = train(ours(**arguments), as_dense=True)
    wanted, _ = train(theirs(**arguments), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=1e-6, rtol=0)


def test_ftrl_can_keep_initial_rows():
    table, _ = train(optimizers.Ftrl(0.1, keep_initial=True))
    initial = np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(table[30:], initial[30:])
    assert np.abs(table[:30] - initial[:30]).max() > 0.01


def summed(ids, values):
    total = np.zeros((ROWS, WIDTH))
    np.add.at(total, ids, values)
    return np.unique(ids), total


def test_row_wise_adagrad_is_its_equation():
    table, (accumulator,) = train(optimizers.RowWiseAdagrad(0.1))
    w = np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, WIDTH))
    a = np.full(ROWS, 0.1)
    for ids, values in batches():
        rows, g = summed(ids, values)
        a[rows] += np.mean(g[rows] ** 2, axis=1)
        w[rows] -= 0.1 * g[rows] / np.sqrt(a[rows] + 1e-7)[:, None]
    np.testing.assert_allclose(table, w, atol=1e-5)
    np.testing.assert_allclose(accumulator, a, rtol=1e-5)
    assert accumulator.shape == (ROWS,)


def test_row_wise_adagrad_serves_dense_gradients():
    sparse, _ = train(optimizers.RowWiseAdagrad(0.1))
    dense, _ = train(optimizers.RowWiseAdagrad(0.1), as_dense=True)
    np.testing.assert_allclose(sparse, dense, atol=1e-6)


def test_lazy_adam_is_its_equation():
    table, _ = train(optimizers.LazyAdam(0.01))
    w = np.random.default_rng(1).uniform(-0.5, 0.5, (ROWS, WIDTH))
    m, v = np.zeros((ROWS, WIDTH)), np.zeros((ROWS, WIDTH))
    for t, (ids, values) in enumerate(batches(), start=1):
        rows, g = summed(ids, values)
        m[rows] += 0.1 * (g[rows] - m[rows])
        v[rows] += 0.001 * (g[rows] ** 2 - v[rows])
        rate = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w[rows] -= rate * m[rows] / (np.sqrt(v[rows]) + 1e-7)
    np.testing.assert_allclose(table, w, atol=1e-5)


@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.LazyAdam])
def test_dense_adam_equals_keras(make):
    table, slots = train(make(0.01), as_dense=True)
    wanted, wanted_slots = train(keras.optimizers.Adam(0.01), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=2e-6, rtol=0)
    for slot, reference in zip(slots, wanted_slots, strict=True):
        np.testing.assert_allclose(slot, reference, atol=1e-6)


def test_amsgrad_is_kerass_own():
    table, _ = train(optimizers.Adam(0.01, amsgrad=True), as_dense=True)
    wanted, _ = train(keras.optimizers.Adam(0.01, amsgrad=True), as_dense=True)
    np.testing.assert_array_equal(table, wanted)


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: optimizers.Adagrad(weight_decay=0.1), "weight_decay"),
        (lambda: optimizers.Adagrad(use_ema=True), "use_ema"),
        (lambda: optimizers.Adagrad(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (lambda: optimizers.Adagrad(loss_scale_factor=8.0), "loss_scale_factor"),
        (lambda: optimizers.SGD(momentum=0.9), "momentum"),
    ],
)
def test_options_that_pass_over_the_table_are_refused(make, option):
    with pytest.raises(ValueError, match=option):
        train(make())


def test_lazy_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad"):
        train(optimizers.LazyAdam(amsgrad=True))


@pytest.mark.parametrize(
    "name", ["SGD", "Adagrad", "RowWiseAdagrad", "Ftrl", "LazyAdam", "Adam", "Split"]
)
def test_config_round_trip(name):
    optimizer = getattr(optimizers, name)()
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_repeats_are_summed_in_their_order(dtype, count):
    """To the last bit what adding one after the other gives."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 6, count)
    values = rng.normal(size=(count, 5)).astype(dtype)
    expected = np.zeros((10, 5), dtype)
    for row, value in zip(ids, values, strict=True):
        expected[row] += value
    summed = summed_rows(tf.IndexedSlices(tf.constant(values), tf.constant(ids), (10, 5)))
    rows = summed.indices.numpy()
    assert sorted(rows) == sorted(set(ids.tolist()))
    np.testing.assert_array_equal(summed.values, expected[rows])
