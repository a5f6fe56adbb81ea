"""`Adagrad` against Keras's, and where it differs."""

import keras
import pytest

from rankup_keras import optimizers
from tests.optimizers import one_table

BOTH = (optimizers.Adagrad, keras.optimizers.Adagrad)
CASES = {
    "plain": {"learning_rate": 0.1},
    "from_zero": {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3},
    "clipnorm": {"learning_rate": 0.1, "clipnorm": 0.5},
    "global_clipnorm": {"learning_rate": 0.1, "global_clipnorm": 0.5},
    "schedule": {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_dense_optimizer_on_every_row(case):
    one_table.check_equals_dense(*BOTH, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_dense_gradients_are_served_too(case):
    one_table.check_serves_dense_gradients(
        optimizers.Adagrad, keras.optimizers.Adagrad, CASES[case]
    )
