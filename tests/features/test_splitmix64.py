"""The one SplitMix64, against plain Python, in NumPy and in TensorFlow."""

import numpy as np
import tensorflow as tf

from rankup_keras.features.splitmix64 import STEP, splitmix64


def _reference(state):
    z = state
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_numpy_and_tensorflow_agree_with_plain_python():
    states = [0, 1, STEP, 2**63, 2**64 - 1]
    wanted = [_reference(state) for state in states]
    array = np.array(states, np.uint64)
    assert splitmix64(array).tolist() == wanted
    assert splitmix64(tf.constant(array), tf.bitwise.right_shift).numpy().tolist() == wanted


def test_known_first_output_of_seed_0():
    assert int(splitmix64(np.array([STEP], np.uint64))[0]) == 0xE220A8397B1DCDAF
