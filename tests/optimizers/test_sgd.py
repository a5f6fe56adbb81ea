"""`SGD` against Keras's, and where it differs."""

import keras
import pytest

from rankup_keras import optimizers
from tests.optimizers import one_table

BOTH = (optimizers.SGD, keras.optimizers.SGD)
CASES = {
    "plain": {"learning_rate": 0.1},
    "clipvalue": {"learning_rate": 0.1, "clipvalue": 0.1},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_dense_optimizer_on_every_row(case):
    one_table.check_equals_dense(*BOTH, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_dense_gradients_are_served_too(case):
    one_table.check_serves_dense_gradients(*BOTH, CASES[case])


def test_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum"):
        one_table.train(optimizers.SGD(momentum=0.9))
