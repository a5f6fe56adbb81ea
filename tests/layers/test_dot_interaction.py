"""All pairs of fields, against keras-rs's layer, forward and backward."""

import keras_rs
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers.dot_interaction import DotInteraction
from tests.helpers.layer_test import random_inputs


def outcome(call, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        loss = tf.reduce_sum(tf.sin(y))
    return y, tape.gradient(loss, x)


@pytest.mark.parametrize("fields", [2, 5])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_equals_keras_rs(fields, graph, training):
    layer, peer = DotInteraction(fields), keras_rs.layers.DotInteraction()
    x = tf.constant(random_inputs((7, fields * 4)))
    expected = outcome(lambda x: peer(tf.split(x, fields, axis=1)), x)

    def run(x):
        return outcome(lambda x: layer(x, training=training), x)

    for actual, wanted in zip((tf.function(run) if graph else run)(x), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)


def test_one_field_has_no_pair():
    assert DotInteraction(1)(np.ones((3, 4), "float32")).shape == (3, 0)


def test_no_xla_in_a_graph_for_inference():
    layer = DotInteraction(3)
    layer.build((None, 12))
    spec = tf.TensorSpec((None, 12))
    served = tf.function(lambda x: layer(x, training=False), input_signature=[spec])
    assert not served.get_concrete_function().graph.as_graph_def().library.function
    for rows in (1, 5, 0):
        x = random_inputs((rows, 12))
        np.testing.assert_allclose(served(x), layer(x), atol=1e-6)


def test_config_round_trip():
    layer = DotInteraction(3, name="pairs", dtype="mixed_bfloat16")
    again = DotInteraction.from_config(layer.get_config())
    assert (again.fields, again.name, again.compute_dtype) == (3, "pairs", "bfloat16")
    assert again(np.ones((2, 12), "float32")).dtype == tf.bfloat16
