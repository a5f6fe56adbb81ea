"""Layer normalization in eager execution, in graphs, and in half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers.mixers.layer_norm import LayerNorm
from tests.helpers.layer_test import random_inputs, randomize_weights
from tests.reference import mixers as reference


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_layer_norm_while_training(offset):
    layer = LayerNorm()
    x = random_inputs((3, 4, 16)) + np.float32(offset)
    layer.build(x.shape)
    randomize_weights(layer)
    gamma, beta = (w.numpy() for w in layer.weights)
    expected = reference.layer_norm(x, gamma, beta)
    # 30 deviations away the one-pass variance has lost three digits of seven.
    tolerance = 1e-5 if not offset else 2e-3
    for training in (False, True):
        np.testing.assert_allclose(layer(x, training=training), expected, atol=tolerance)
    plain = keras.layers.LayerNormalization(epsilon=1e-6)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(plain(x)))
    wanted = tape.gradient(loss, plain.trainable_variables)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(x, training=True)))
    actual = tape.gradient(loss, layer.trainable_variables)
    for one, other in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_layer_norm_in_a_graph_for_training(dtype, offset):
    """There sums are products: the same as Keras's, forward and backward."""
    layer, plain = LayerNorm(dtype=dtype), keras.layers.LayerNormalization(epsilon=1e-6)
    x = random_inputs((3, 40, 16)) + np.float32(offset)
    x = tf.cast(tf.cast(x, layer.compute_dtype), tf.float32)
    for norm in (layer, plain):
        norm.build(x.shape)
    randomize_weights(layer)
    plain.set_weights(layer.get_weights())
    weight = tf.constant(random_inputs(x.shape, seed=1))

    def step(norm, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = norm(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * weight)
        return [y, *tape.gradient(loss, [x, *norm.trainable_variables])]

    wanted = step(plain, x)
    actual = tf.function(lambda x: step(layer, x))(x)
    tolerance = 2e-5 if not offset else 2e-3
    if dtype == "mixed_bfloat16":
        tolerance = 2e-2
    for one, other in zip(actual, wanted, strict=True):
        scale = float(tf.reduce_max(tf.abs(other)))
        np.testing.assert_allclose(tf.cast(one, tf.float32), other, atol=tolerance * scale)


def test_layer_norm_of_equal_entries_is_its_offset():
    layer = LayerNorm()
    x = np.full((2, 3, 8), 1000.0, "float32")
    np.testing.assert_array_equal(layer(x, training=True), np.zeros_like(x))
    step = tf.function(lambda x: layer(x, training=True))
    np.testing.assert_array_equal(step(x), np.zeros_like(x))


def test_layer_norm_in_bfloat16_has_statistics_in_float32():
    layer = LayerNorm(dtype="mixed_bfloat16")
    x = tf.cast(random_inputs((2, 3, 64)) + 3, tf.bfloat16)
    for training in (False, True):
        y = layer(x, training=training)
        assert y.dtype == tf.bfloat16
        expected = reference.layer_norm(tf.cast(x, tf.float32), np.ones(64), np.zeros(64))
        np.testing.assert_allclose(tf.cast(y, tf.float32), expected, atol=0.02)
