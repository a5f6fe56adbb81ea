"""Forms for scoring on GPUs, which XLA compiles."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.kernels import fused, reference
from rankup_keras.kernels.layout import batch_first, in_layout, tokens_first


def per_token_ffn(
    x: Any,
    up: reference.Affine,
    down: reference.Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    dropout: Callable[[Any], Any],
) -> Any:
    """The hidden layer is computed in float32 and rounded once, as in training."""
    if not fused.is_plain(activation):
        return reference.per_token_ffn(x, up, down, activation, gated, dropout)
    kernel, bias = up
    product = keras.ops.matmul(tokens_first(x), kernel)
    hidden = fused.hidden_layer(activation, gated, product, bias)
    return batch_first(reference.product(dropout(hidden), down))


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """The form that XLA takes for a normalization: one kernel, with the residual sum before it.

    Of Keras's, `x * scale + (beta - mean * scale)`, XLA makes three, which read `x` three times.
    """

    def mean(x: Any) -> Any:
        return tf.reduce_mean(x, axis=-1, keepdims=True)

    def normalize(x: Any) -> Any:
        wide = x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
        centered = wide - mean(wide)
        y = centered * tf.math.rsqrt(mean(tf.square(centered)) + epsilon)
        if gamma is not None:
            y *= keras.ops.cast(gamma, y.dtype)
        if beta is not None:
            y += keras.ops.cast(beta, y.dtype)
        return tf.cast(y, x.dtype)

    return in_layout(normalize, x)
