"""What row-sparse optimizers share: refused options, configs, summed repeats."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import optimizers
from rankup_keras.optimizers.row_sparse import summed_rows
from tests.optimizers import one_table


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: optimizers.Adagrad(weight_decay=0.1), "weight_decay"),
        (lambda: optimizers.Adagrad(use_ema=True), "use_ema"),
        (lambda: optimizers.Adagrad(gradient_accumulation_steps=2), "gradient_accumulation_steps"),
        (lambda: optimizers.Adagrad(loss_scale_factor=8.0), "loss_scale_factor"),
    ],
)
def test_options_that_pass_over_the_table_are_refused(make, option):
    with pytest.raises(ValueError, match=option):
        one_table.train(make())


@pytest.mark.parametrize(
    "name", ["SGD", "Adagrad", "RowWiseAdagrad", "Ftrl", "LazyAdam", "Adam", "Split"]
)
def test_config_round_trip(name):
    optimizer = getattr(optimizers, name)()
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_rows_of_a_table_in_host_memory_do_not_go_to_the_gpu(monkeypatch):
    program = importlib.import_module("rankup_keras.kernels.program")
    monkeypatch.setattr(program, "default_device", lambda: "/device:GPU:0")
    with tf.device("/cpu:0"):
        table = keras.Variable(tf.zeros((4, 2)))
        optimizer = optimizers.Adagrad()
        optimizer.build([table])

    def update(values, rows):
        optimizer.apply([tf.IndexedSlices(values, rows, (4, 2))], [table])

    specs = tf.TensorSpec((None, 2)), tf.TensorSpec((None,), tf.int32)
    graph = tf.function(update).get_concrete_function(*specs).graph
    places = {op.type: op.device for op in graph.get_operations()}
    for op in ("Unique", "ResourceGather", "Rsqrt", "ResourceScatterUpdate"):
        assert "CPU:0" in places[op]


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
