"""The state of Keras's global random numbers, as it was read."""

import keras
import numpy as np

from rankup_keras.compat.random_state import global_seed_state


def test_the_state_is_what_unseeded_draws_come_from():
    keras.utils.set_random_seed(3)
    before = keras.ops.convert_to_numpy(global_seed_state())
    first = keras.ops.convert_to_numpy(keras.random.normal((4,)))
    assert (keras.ops.convert_to_numpy(global_seed_state()) != before).any()
    global_seed_state().assign(before)
    np.testing.assert_array_equal(keras.random.normal((4,)), first)
    # No public way: once there is one, take it.
    assert not [name for name in dir(keras.random) if "global" in name.lower()]
