"""The forms that save passes over memory give what the plain ones give, forward and backward."""

import math

import hypothesis
import hypothesis.strategies
import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.kernels.elementwise import exact_gelu, is_plain, narrow, one_kernel
from rankup_keras.layers.mixers import MixerBlock, PerTokenFFN, PerTokenGLU, PerTokenSwiGLU
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from tests.helpers.layer_test import random_inputs, randomize_weights
from tests.reference import mixers as reference


def gradients(layer, x, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * tf.sin(tf.cast(y, tf.float32)))
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


NETWORKS = {
    "ffn": lambda: PerTokenFFN(tokens_first=True),
    "relu without bias": lambda: PerTokenFFN(activation="relu", use_bias=False),
    "swiglu": lambda: PerTokenSwiGLU(tokens_first=True),
    "swiglu with bias": lambda: PerTokenSwiGLU(use_bias=True),
    "glu": lambda: PerTokenGLU(tokens_first=True),
    "block": lambda: MixerBlock(PerTokenFFN(tokens_first=True), placement="post"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_graphs_equal_eager_execution(kind, compiled):
    """Eagerly every op runs by itself; in a graph training and inference each have their form."""
    layer = NETWORKS[kind]()
    x = tf.constant(random_inputs((4, 4, 8)))
    layer(x)
    randomize_weights(layer)
    expected = gradients(layer, x, training=False)
    for training in (False, True):
        step = tf.function(
            lambda x, training=training: gradients(layer, x, training), jit_compile=compiled
        )
        for actual, wanted in zip(step(x), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, atol=2e-4, rtol=1e-4)


def test_a_graph_has_a_variable_number_of_rows_and_none():
    layer = MixerBlock(PerTokenFFN(tokens_first=True), placement="post")
    layer.build((4, None, 8))
    spec = tf.TensorSpec((4, None, 8))
    call = tf.function(lambda x: layer(x, training=False), input_signature=[spec])
    for rows in (1, 7, 0):
        x = random_inputs((4, rows, 8))
        np.testing.assert_allclose(call(x), layer(x), atol=1e-5)


def test_no_xla_in_a_graph_for_inference():
    layer = MixerBlock(PerTokenSwiGLU(tokens_first=True))
    layer.build((4, None, 8))
    concrete = tf.function(lambda x: layer(x, training=False)).get_concrete_function(
        tf.TensorSpec((4, None, 8))
    )
    assert not concrete.graph.as_graph_def().library.function
    training = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
        tf.TensorSpec((4, None, 8))
    )
    functions = training.graph.as_graph_def().library.function
    assert any(f.attr["_XlaMustCompile"].b for f in functions)


def test_one_compilation_serves_layers_alike():
    assert one_kernel(len, 1) is one_kernel(len, 1)


def test_activations_with_weights_or_of_users_are_left_alone():
    assert is_plain(keras.activations.gelu)
    assert not is_plain(lambda x: x)
    assert not is_plain(keras.layers.PReLU())


def test_an_activation_with_weights_trains():
    layer = PerTokenFFN(activation=keras.layers.PReLU(alpha_initializer="ones"))
    x = tf.constant(random_inputs((3, 2, 4)))
    layer(x)
    step = tf.function(lambda: gradients(layer, x, training=True))
    assert all(gradient is not None for gradient in step())


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


def relative_error(actual, wanted):
    actual, wanted = (tf.cast(x, tf.float32).numpy() for x in (actual, wanted))
    return np.sqrt(np.mean(np.square(actual - wanted)) / np.mean(np.square(wanted)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("of_network", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [PerTokenFFN, PerTokenSwiGLU, PerTokenGLU])
def test_graphs_in_bfloat16_equal_eager_execution(kind, of_network, training):
    """Forward and backward, to the rounding of bfloat16."""
    network = kind(tokens_first=True, dtype=of_network)
    layer = MixerBlock(network, dtype="mixed_bfloat16", placement="post")
    x = tf.constant(random_inputs((4, 64, 8)), tf.bfloat16)
    layer(x)
    randomize_weights(layer)
    expected = gradients(layer, x, training=training)
    step = tf.function(lambda x: gradients(layer, x, training=training))
    for actual, wanted in zip(step(x), expected, strict=True):
        assert actual.dtype == wanted.dtype
        assert relative_error(actual, wanted) < 0.03


def test_what_a_subclass_computes_is_not_left_out():
    class Doubled(PerTokenFFN):
        def call(self, x, training=None):
            return 2 * super().call(x, training)

    layer = MixerBlock(
        Doubled(tokens_first=True, dtype="mixed_bfloat16"), dtype="mixed_bfloat16", norm=None
    )
    x = tf.constant(random_inputs((4, 6, 8)), tf.bfloat16)
    expected = layer(x)
    actual = tf.function(lambda x: layer(x, training=False))(x)
    assert relative_error(actual, expected) < 0.03


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


def test_float64_keeps_its_digits():
    layer = MixerBlock(PerTokenFFN(tokens_first=True, dtype="float64"), dtype="float64")
    x = tf.constant(random_inputs((4, 4, 8)), tf.float64)
    layer(x)
    randomize_weights(layer)
    expected = layer(x)
    for training in (False, True):
        step = tf.function(lambda x, training=training: layer(x, training=training))
        np.testing.assert_allclose(step(x), expected, atol=1e-12)
