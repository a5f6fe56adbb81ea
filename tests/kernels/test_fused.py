"""Building blocks of the fused forms."""

import math

import hypothesis
import hypothesis.strategies
import keras
import numpy as np
import tensorflow as tf

from rankup_keras.kernels.fused import exact_gelu, is_plain, narrow, one_kernel


def test_one_compilation_serves_layers_alike():
    assert one_kernel(len, 1) is one_kernel(len, 1)


def test_activations_with_weights_or_of_users_are_left_alone():
    assert is_plain(keras.activations.gelu)
    assert not is_plain(lambda x: x)
    assert not is_plain(keras.layers.PReLU())


@hypothesis.given(hypothesis.strategies.lists(hypothesis.strategies.floats(width=32), min_size=1))
@hypothesis.example([np.nan, np.inf, -np.inf, -0.0, 3.4e38, 1e-40, 1.00390625, 1.01171875])
def test_narrowing_rounds_as_a_cast(values):
    x = tf.constant(values, tf.float32)
    actual, wanted = narrow(x, tf.bfloat16), tf.cast(x, tf.bfloat16)
    np.testing.assert_array_equal(tf.cast(actual, tf.float32), tf.cast(wanted, tf.float32))


def test_exact_gelu():
    x = np.linspace(-12, 12, 4001, dtype="float32")
    wanted = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in x.tolist()]
    for compiled in (False, True):
        error = tf.function(exact_gelu, jit_compile=compiled)(x) - wanted
        np.testing.assert_array_less(np.abs(error), 2e-7 * (1 + np.abs(x)))
