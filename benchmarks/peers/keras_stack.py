"""RankMixer's dense stack in plain Keras: einsum a token, Keras's layer norm and Adam."""

from typing import Any

import keras
from keras import layers, ops


class Mixing(layers.Layer):
    def call(self, x: Any) -> Any:
        tokens, width = x.shape[1:]
        heads = ops.reshape(x, (-1, tokens, tokens, width // tokens))
        return ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (-1, tokens, width))


def stack(tokens: int, width: int, blocks: int, hidden: int) -> keras.Model:
    """(batch, T, D) to a probability."""
    inputs = x = keras.Input((tokens, width))
    for _ in range(blocks):
        x = layers.LayerNormalization(epsilon=1e-6)(x + Mixing()(x))
        h = layers.EinsumDense("btd,tdk->btk", (tokens, hidden), "gelu", bias_axes="tk")(x)
        y = layers.EinsumDense("btk,tkd->btd", (tokens, width), bias_axes="td")(h)
        x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    pooled = ops.mean(x, axis=1)
    return keras.Model(inputs, layers.Dense(1, "sigmoid", dtype="float32")(pooled))
