"""`Ftrl` against Keras's, and where it differs."""

import keras
import numpy as np
import pytest

from rankup_keras import optimizers
from tests.optimizers import one_table

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


@pytest.mark.parametrize("case", CASES)
def test_equals_the_dense_optimizer_on_every_row(case):
    one_table.check_equals_dense(*BOTH, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_dense_gradients_are_served_too(case):
    one_table.check_serves_dense_gradients(*BOTH, CASES[case])


def test_ftrl_can_keep_initial_rows():
    table, _ = one_table.train(optimizers.Ftrl(0.1, keep_initial=True))
    initial = one_table.initial_table()
    np.testing.assert_array_equal(table[30:], initial[30:])
    assert np.abs(table[:30] - initial[:30]).max() > 0.01
