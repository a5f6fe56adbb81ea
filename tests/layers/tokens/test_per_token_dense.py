"""One dense layer per token: against separate products, and with initial values like theirs."""

import keras
import numpy as np
import pytest

from rankup_keras.layers.tokens import PerTokenDense, PerTokenInitializer
from tests.helpers.layer_test import (
    random_inputs,
    randomize_weights,
    run_layer_test,
    weights_by_name,
)
from tests.reference import mixers as reference


def dense(x, w, activation=lambda x: x):
    return activation(reference.per_token_dense(x, w["kernel"], w.get("bias")))


@pytest.mark.parametrize(
    ("arguments", "equation"),
    [
        ({}, dense),
        ({"activation": "relu"}, lambda x, w: dense(x, w, reference.relu)),
        ({"use_bias": False, "kernel_scale": 0.5, "kernel_initializer": "he_normal"}, dense),
        ({"fan_in": [1, 2, 3, 4], "bias_initializer": "ones"}, dense),
    ],
)
def test_equation(arguments, equation):
    arguments = {"units": 6, **arguments}
    x = random_inputs((3, 4, 5))
    layer = PerTokenDense(**arguments)
    layer(x)
    randomize_weights(layer)
    actual = layer(x).numpy()
    np.testing.assert_allclose(actual, equation(x, weights_by_name(layer)), atol=1e-5)
    assert actual.shape == layer.compute_output_shape(x.shape)


def test_layer():
    run_layer_test(
        PerTokenDense,
        {"units": 6, "activation": "relu", "fan_in": [1, 2, 3, 4]},
        input_shape=(3, 4, 5),
        expected_output_shape=(3, 4, 6),
        expected_num_parameters=4 * (5 * 6 + 6),
        reference=lambda x, w: dense(x, w, reference.relu),
    )


def test_layers_that_share_an_initializer_start_apart():
    shared = keras.initializers.GlorotUniform()
    kernels = []
    for _ in range(2):
        layer = PerTokenDense(8, kernel_initializer=shared)
        layer.build((None, 3, 8))
        kernels.append(layer.kernel.numpy().ravel())
    assert abs(np.corrcoef(kernels)[0, 1]) < 0.3
    seeded = keras.initializers.GlorotUniform(seed=1)
    layers = [PerTokenDense(8, kernel_initializer=seeded) for _ in range(2)]
    for layer in layers:
        layer.build((None, 3, 8))
    np.testing.assert_array_equal(layers[0].kernel, layers[1].kernel)


def test_regularizer():
    layer = PerTokenDense(6, kernel_regularizer=keras.regularizers.L2(0.1))
    layer(random_inputs((2, 3, 4)))
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, 0.1 * np.sum(layer.kernel.numpy() ** 2), rtol=1e-5)


INITIALIZERS = [
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    keras.initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal"),
    {"class_name": "HeNormal", "config": {"seed": 3}},
]


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_kernels_spread_as_those_of_separate_layers(initializer):
    tokens, inputs, units = 6, 300, 120
    alone = keras.initializers.get(initializer)
    kernel = np.asarray(PerTokenInitializer(initializer)((tokens, inputs, units)))
    expected = np.std(np.asarray(alone((inputs, units))))
    np.testing.assert_allclose(kernel.std(axis=(1, 2)), expected, rtol=0.02)
    assert np.abs(np.corrcoef(kernel.reshape(tokens, -1)) - np.eye(tokens)).max() < 0.03


def test_padded_inputs_do_not_count():
    fan_in = [100, 300, 200]
    initializer = PerTokenInitializer("he_normal", fan_in=fan_in)
    kernel = np.asarray(initializer((3, 300, 400)))
    np.testing.assert_allclose(kernel.std(axis=(1, 2)), np.sqrt(2 / np.array(fan_in)), rtol=0.02)


def test_parts_count_as_kernels_of_their_own():
    kernel = np.asarray(PerTokenInitializer("glorot_uniform", parts=2)((3, 200, 800)))
    np.testing.assert_allclose(kernel.std(axis=(1, 2)), np.sqrt(2 / (200 + 400)), rtol=0.02)


def test_scale():
    kernel = np.asarray(PerTokenInitializer("lecun_normal", scale=0.01)((3, 200, 400)))
    np.testing.assert_allclose(kernel.std(axis=(1, 2)), 0.01 / np.sqrt(200), rtol=0.02)


def test_initializer_config_round_trip():
    initializer = PerTokenInitializer(keras.initializers.HeNormal(seed=5), [3, 4], 2, 0.5)
    config = keras.saving.serialize_keras_object(initializer)
    again = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(again((2, 4, 6)), initializer((2, 4, 6)))
    assert again.get_config() == initializer.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerTokenDense(0), "`units` must be positive. Received: units=0"),
        (lambda: PerTokenDense(2).build((None, 4)), r"three axes.*shape=\(None, 4\)"),
        (lambda: PerTokenDense(2).build((None, None, 4)), r"must be known.*\(None, None, 4\)"),
        (
            lambda: PerTokenDense(2, fan_in=[1, 2]).build((None, 3, 4)),
            "`fan_in` must have one entry per token. Received 2 entries for 3 tokens",
        ),
        (lambda: PerTokenInitializer("orthogonal"), "any shape. Received: Orthogonal"),
        (lambda: PerTokenInitializer("identity"), "any shape. Received: Identity"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
