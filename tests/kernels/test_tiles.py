"""What a TPU computes in tiles equals the plain layers, forward and backward."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.kernels import tiles
from rankup_keras.kernels.program import for_tpu
from rankup_keras.layers.mixers import (
    MixerBlock,
    PerTokenFFN,
    PerTokenGLU,
    PerTokenSwiGLU,
    Residual,
    TokenMixing,
)
from rankup_keras.models.dense_part import dense_part
from tests.helpers.layer_test import random_inputs, randomize_weights

TOKENS, BATCH, WIDTH = 4, 512, 8


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "ENTRIES", 128 * TOKENS * WIDTH)


def results(layer, x, in_tiles):
    """Output and gradients of a compiled training step, and the ops of its graph."""

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            wide = tf.cast(y, tf.float32)
            loss = tf.reduce_mean(wide * tf.sin(wide))
        return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]

    if not in_tiles:
        return step(x), set()
    with for_tpu():
        found = step(x)
    graph = step.get_concrete_function(x).graph.as_graph_def()
    return found, {node.op for node in graph.node}


def assert_equal(layer, x, tolerance, tiled=True):
    plain, _ = results(layer, x, in_tiles=False)
    found, ops = results(layer, x, in_tiles=True)
    assert any("While" in op for op in ops) == tiled
    for actual, expected in zip(found, plain, strict=True):
        assert actual.dtype == expected.dtype
        actual, expected = (np.asarray(tf.cast(t, tf.float64)) for t in (actual, expected))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * abs(expected).max())


def make(layer, **residual):
    dtype = residual.get("dtype")
    layer = Residual(layer(dtype=dtype), **residual)
    layer.build((None, TOKENS, WIDTH))
    randomize_weights(layer)
    return layer


LAYERS = {
    "mixing": TokenMixing,
    "ffn": PerTokenFFN,
    "relu without bias": lambda **k: PerTokenFFN(activation="relu", use_bias=False, **k),
    "swiglu": PerTokenSwiGLU,
    "swiglu with bias": lambda **k: PerTokenSwiGLU(use_bias=True, **k),
    "glu": PerTokenGLU,
    "glu with bias": lambda **k: PerTokenGLU(use_bias=True, **k),
}


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("kind", LAYERS)
def test_tiles_equal_the_plain_layer(small_tiles, kind, placement):
    layer = make(LAYERS[kind], placement=placement)
    assert_equal(layer, tf.constant(random_inputs((BATCH, TOKENS, WIDTH))), 1e-5)


@pytest.mark.parametrize("norm", ["rms_norm", None])
def test_other_norms(small_tiles, norm):
    for placement, kind in itertools.product(("pre", "post"), (PerTokenFFN, TokenMixing)):
        layer = make(kind, placement=placement, norm=norm)
        assert_equal(layer, tf.constant(random_inputs((BATCH, TOKENS, WIDTH))), 1e-5)


@pytest.mark.parametrize("kind", ["mixing", "ffn", "swiglu"])
def test_tiles_in_bfloat16(small_tiles, kind):
    for placement in ("pre", "post"):
        layer = make(LAYERS[kind], placement=placement, dtype="mixed_bfloat16")
        x = tf.cast(random_inputs((BATCH, TOKENS, WIDTH)), tf.bfloat16)
        # Eight bits a number, and a handful of roundings.
        assert_equal(layer, x, 0.03)


def test_tiles_in_float64(small_tiles):
    layer = make(PerTokenFFN, dtype="float64")
    assert_equal(layer, tf.constant(random_inputs((BATCH, TOKENS, WIDTH)), tf.float64), 1e-12)


def test_a_subclass_is_computed_as_it_says(small_tiles):
    class Doubled(PerTokenFFN):
        def call(self, x, training=None):
            return 2 * super().call(x, training)

    assert_equal(make(Doubled), tf.constant(random_inputs((BATCH, TOKENS, WIDTH))), 1e-5)


def test_a_block_of_two(small_tiles):
    block = MixerBlock(PerTokenSwiGLU())
    block.build((None, TOKENS, WIDTH))
    randomize_weights(block)
    assert_equal(block, tf.constant(random_inputs((BATCH, TOKENS, WIDTH))), 1e-5)


@pytest.mark.parametrize("model", [rk.RankUp, rk.RankMixer])
def test_the_step_of_a_model(small_tiles, model):
    features = rk.FeatureSet([rk.Categorical(f"c{i}", hash_buckets=5) for i in range(6)])
    made = model(features, ["click"], token_dim=8)
    part = dense_part(made)
    network = part.network
    looked_up, others = network.inputs[: part.vectors], network.inputs[part.vectors :]
    vectors = [tf.constant(random_inputs((BATCH, *tensor.shape[1:]))) for tensor in looked_up]
    ids = [tf.zeros((BATCH, *tensor.shape[1:]), tensor.dtype) for tensor in others]

    @tf.function(jit_compile=True)
    def step(*vectors):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            loss = tf.reduce_mean(tf.sin(3.0 * network([*vectors, *ids], training=True)["click"]))
        return [loss, *tape.gradient(loss, [*vectors, *network.trainable_variables])]

    plain = step(*vectors)
    retraced = tf.function(step.python_function, jit_compile=True)
    with for_tpu():
        tiled = retraced(*vectors)
    ops = {n.op for n in retraced.get_concrete_function(*vectors).graph.as_graph_def().node}
    assert any("While" in op for op in ops)
    largest = max(abs(np.asarray(expected)).max() for expected in plain[1:])
    for found, expected in zip(tiled, plain, strict=True):
        # Some gradients are nothing but roundings: a norm takes out what its input has in common.
        scale = max(abs(np.asarray(expected)).max(), 1e-3 * largest)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


@keras.saving.register_keras_serializable("tests")
class MeanOfBatch(keras.layers.Layer):
    """Without weights, but not row by row."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize(
    "layer",
    [lambda: PerTokenFFN(activation=keras.layers.PReLU()), MeanOfBatch],
    ids=["an activation with weights", "a layer of a user's"],
)
def test_what_is_not_computed_in_tiles(small_tiles, layer):
    layer = Residual(layer())
    x = tf.constant(random_inputs((BATCH, TOKENS, WIDTH)))
    layer(x)
    assert_equal(layer, x, 1e-5, tiled=False)


@pytest.mark.parametrize("where", ["hidden", "output"])
def test_dropout_is_not_computed_in_tiles(where):
    rate = {"hidden": 0.0, "output": 0.0, where: 0.5}
    network = PerTokenFFN(dropout=rate["hidden"])
    layer = Residual(network, dropout=rate["output"])
    layer.build((None, TOKENS, WIDTH))
    _, ops = results(layer, tf.constant(random_inputs((BATCH, TOKENS, WIDTH))), in_tiles=True)
    assert not any("While" in op for op in ops)


def test_rows_of_a_tile():
    # A power of two that divides the batch, as large as its tensors may be.
    assert tiles.tile_rows(32768, 1792) == 4096
    assert tiles.tile_rows(65536, 2176) == 2048
    assert tiles.tile_rows(3 * 256, 8) == 256
    assert tiles.tile_rows(2**14, 2**20) == 128
    assert tiles.tile_rows(100, 8) is None
    assert tiles.tile_rows(None, 8) is None
