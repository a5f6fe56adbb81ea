"""The form for scoring on GPUs, which XLA compiles."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras.kernels.layout import in_layout


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
