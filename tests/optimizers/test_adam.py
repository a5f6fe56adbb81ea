"""The fused `Adam` against Keras's."""

import keras
import numpy as np
import pytest

from rankup_keras import optimizers
from tests.optimizers import one_table


@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.LazyAdam])
def test_dense_adam_equals_keras(make):
    table, slots = one_table.train(make(0.01), as_dense=True)
    wanted, wanted_slots = one_table.train(keras.optimizers.Adam(0.01), as_dense=True)
    np.testing.assert_allclose(table, wanted, atol=2e-6, rtol=0)
    for slot, reference in zip(slots, wanted_slots, strict=True):
        np.testing.assert_allclose(slot, reference, atol=1e-6)


def test_amsgrad_is_kerass_own():
    table, _ = one_table.train(optimizers.Adam(0.01, amsgrad=True), as_dense=True)
    wanted, _ = one_table.train(keras.optimizers.Adam(0.01, amsgrad=True), as_dense=True)
    np.testing.assert_array_equal(table, wanted)
