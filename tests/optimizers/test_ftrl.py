"""`Ftrl` against Keras's, and where it differs."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import optimizers
from tests.optimizers import one_table

FTRL = "rankup_keras.optimizers.ftrl"
BOTH = (optimizers.Ftrl, keras.optimizers.Ftrl)
CASES = {
    "plain": {"learning_rate": 0.1},
    "regularized": {
        "learning_rate": 0.05,
        "l1_regularization_strength": 0.2,
        "l2_regularization_strength": 0.03,
        "learning_rate_power": -0.7,
        "beta": 0.1,
    },
}


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_dense_optimizer_on_every_row(case, gpu, monkeypatch):
    monkeypatch.setattr(importlib.import_module(FTRL), "has_accelerator", lambda: gpu)
    one_table.check_equals_dense(*BOTH, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_dense_gradients_are_served_too(case):
    one_table.check_serves_dense_gradients(*BOTH, CASES[case])


def test_ftrl_can_keep_initial_rows():
    table, _ = one_table.train(optimizers.Ftrl(0.1, keep_initial=True))
    initial = one_table.initial_table()
    np.testing.assert_array_equal(table[30:], initial[30:])
    assert np.abs(table[:30] - initial[:30]).max() > 0.01


def test_a_loaded_beginning_is_one_again(monkeypatch, tmp_path):
    """Where a GPU is asked for the count of steps only until there is one."""
    monkeypatch.setattr(importlib.import_module(FTRL), "has_accelerator", lambda: True)
    optimizer, store = optimizers.Ftrl(0.1), {}
    table = keras.Variable(one_table.initial_table())
    gradient = tf.IndexedSlices(tf.ones((1, 4)), [3], (40, 4))
    optimizer.build([table])
    optimizer.save_own_variables(store)
    store = {key: np.array(value) for key, value in store.items()}
    for _ in range(2):
        table.assign(one_table.initial_table())
        optimizer.apply([gradient], [table])
        assert np.flatnonzero(table.numpy().any(1)).tolist() == [3]
        table.assign(one_table.initial_table())
        optimizer.apply([gradient], [table])
        assert table.numpy().all()
        optimizer.load_own_variables(store)
