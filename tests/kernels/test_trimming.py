"""To which lengths batches are cut, and by which programs."""

import importlib

import numpy as np
import tensorflow as tf

from rankup_keras.kernels.trimming import few_lengths, trim_padding
from tests.helpers.gpu_placement import waits_for_gpu


def test_few_lengths():
    assert few_lengths(100, 8) == [8, 12, 16, 24, 32, 48, 64, 96, 100]
    assert few_lengths(7, 8) == [7]
    assert len(few_lengths(10_000, 8)) == 22
    # Two thirds of a batch's longest sequence are real, or more.
    lengths = np.array(few_lengths(1000, 8))
    assert ((lengths[:-1] + 1) / lengths[1:] > 2 / 3).all()


def test_of_channels_the_first_tells_what_is_present():
    channels = np.zeros((2, 40, 2), "float32")
    channels[0, :3, 0], channels[1, :9, 0] = 1, 1
    channels[1, 20, 1] = 1  # a number at padding says nothing
    (y,) = tf.function(lambda x: trim_padding([x], x, 8))(tf.constant(channels))
    np.testing.assert_array_equal(y, channels[:, :12])


def test_programs_of_known_shapes_keep_them():
    present = tf.sequence_mask([3, 9], 40)
    spec = tf.TensorSpec((None, 40), tf.bool)
    for compiled, length in ((False, 12), (True, 40)):
        cut = tf.function(
            lambda x: trim_padding([x], x, 8)[0], jit_compile=compiled, input_signature=[spec]
        )
        assert cut(present).shape == (2, length)


def test_the_length_is_found_without_waiting_for_a_gpu(monkeypatch):
    program = importlib.import_module("rankup_keras.kernels.program")
    monkeypatch.setattr(program, "has_accelerator", lambda: True)
    cut = tf.function(lambda x, present: trim_padding([x], present, 8)[0])
    specs = tf.TensorSpec((None, 40, 2)), tf.TensorSpec((None, 40), tf.bool)
    assert waits_for_gpu(cut.get_concrete_function(*specs).graph.get_operations()) == []


def test_gradients_of_what_was_left_out_are_zero():
    present, x = tf.sequence_mask([3, 9], 40), tf.ones((2, 40, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        (y,) = trim_padding([x], present, 8)
    gradient = tape.gradient(y, x)
    assert gradient.numpy().sum(2).tolist() == [[2.0] * 12 + [0.0] * 28] * 2
