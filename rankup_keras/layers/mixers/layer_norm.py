"""Layer normalisation in fewer passes over memory."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.kernels.elementwise import by_ops, folds, narrow, xla_kernel


@serializable
class LayerNorm(keras.layers.LayerNormalization):
    """Keras's `LayerNormalization` over the last axis, with the same weights and fewer passes.

    - Training: mean and mean of squares in float32; the gradient keeps the input
      and two numbers a row. On CPUs sums are products and reductions, on TPUs
      the input is read once.
    - A graph for inference on a CPU: the ops in which TensorFlow recognises a
      layer norm, to run it as one kernel of oneDNN.

    The variance is `mean(x²) - mean(x)²` while training, which loses digits where
    the mean is many times the deviation: a thousandth of the variance at 100 times.

    Args:
        epsilon: float added to the variance. Defaults to 1e-6.
        **kwargs: as in Keras's layers.

    Call arguments:
        inputs: float tensor of known width.
        training: bool.

    Returns:
        Tensor of the same shape.

    References:
        - Ba et al., arXiv 1607.06450.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(axis=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Both short forms compute in float32.
        if self.gamma is None or self.beta is None or self.compute_dtype == "float64":
            return super().call(inputs)
        if training:
            x = tf.cast(inputs, self.compute_dtype)
            gamma, beta = (keras.ops.cast(w, "float32") for w in (self.gamma, self.beta))
            normalize = _normalize_by_products if by_ops() else _normalize
            return normalize(self.epsilon, x, gamma, beta)
        return self._recognised(inputs) if folds() else super().call(inputs)

    def _recognised(self, inputs: Any) -> Any:
        x = tf.cast(inputs, self.compute_dtype)
        # Recognised where the batch is unknown, as in `predict` and in exports, and not where
        # TensorFlow makes constants of a known one.
        width, shape = x.shape[-1], tf.shape(x)
        rows = tf.reduce_prod(shape[:-1])
        # A batch norm whose channels are the rows; with this and what follows it a layer norm.
        normal, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, tf.stack([1, rows, width, 1])),
            scale=tf.fill([rows], 1.0),
            offset=tf.fill([rows], 0.0),
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            data_format="NCHW",
            is_training=True,
        )
        gamma, beta = (keras.ops.cast(w, x.dtype) for w in (self.gamma, self.beta))
        y = tf.add(tf.multiply(tf.reshape(normal, shape), gamma), beta)
        return tf.ensure_shape(y, inputs.shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("axis")
        return config


def _normalize(epsilon: float, inputs: Any, gamma: Any, beta: Any) -> Any:
    rows = list(range(len(inputs.shape) - 1))

    def mean(x: Any) -> Any:
        return tf.reduce_mean(x, axis=-1, keepdims=True)

    @tf.custom_gradient
    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        wide = tf.cast(x, tf.float32)
        center = mean(wide)
        variance = tf.maximum(mean(tf.square(wide)) - tf.square(center), 0.0)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(upstream: Any) -> Any:
            upstream = tf.cast(upstream, tf.float32)
            normal = (tf.cast(x, tf.float32) - center) * scale
            inner = upstream * gamma
            dx = scale * (inner - mean(inner) - normal * mean(inner * normal))
            of_gamma = tf.reduce_sum(upstream * normal, axis=rows)
            return tf.cast(dx, x.dtype), of_gamma, tf.reduce_sum(upstream, axis=rows)

        return tf.cast((wide - center) * scale * gamma + beta, x.dtype), gradient

    return normalize(inputs, gamma, beta)


def _normalize_by_products(epsilon: float, inputs: Any, gamma: Any, beta: Any) -> Any:
    """`_normalize` in a graph on CPUs.

    XLA there does not vectorise sums along rows, and plain ops pass over memory once each. So sums
    are matrix-vector products and reductions, and XLA makes one kernel of what lies between them.
    """
    width = inputs.shape[-1]

    @tf.custom_gradient
    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        shape = tf.shape(x)
        x = tf.reshape(x, (-1, width))
        wide = tf.cast(x, tf.float32)
        center = tf.reduce_mean(wide, axis=1, keepdims=True)
        norm = tf.math.reduce_euclidean_norm(wide, axis=1, keepdims=True)
        variance = tf.maximum(tf.square(norm) / width - tf.square(center), 0.0)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(upstream: Any) -> Any:
            upstream = tf.reshape(upstream, (-1, width))
            wide, weights = tf.cast(upstream, tf.float32), tf.reshape(gamma, (width, 1))
            along = _along(x, center, upstream)
            mean = tf.matmul(wide, weights) / width
            slope = tf.square(scale) * tf.matmul(along, weights) / width
            dx = _gradient_of_rows(x, center, scale, gamma, upstream, mean, slope)
            of_gamma = tf.matmul(scale, along, transpose_a=True)
            of_beta = tf.matmul(tf.ones_like(scale), wide, transpose_a=True)
            return tf.reshape(dx, shape), of_gamma[0], of_beta[0]

        return tf.reshape(_normal_rows(x, center, scale, gamma, beta), shape), gradient

    return tf.ensure_shape(normalize(inputs, gamma, beta), inputs.shape)


@xla_kernel
def _normal_rows(x: Any, center: Any, scale: Any, gamma: Any, beta: Any) -> Any:
    return narrow((tf.cast(x, tf.float32) - center) * scale * gamma + beta, x.dtype)


@xla_kernel
def _along(x: Any, center: Any, upstream: Any) -> Any:
    return (tf.cast(x, tf.float32) - center) * tf.cast(upstream, tf.float32)


@xla_kernel
def _gradient_of_rows(
    x: Any, center: Any, scale: Any, gamma: Any, upstream: Any, mean: Any, slope: Any
) -> Any:
    inner = tf.cast(upstream, tf.float32) * gamma
    return narrow(scale * (inner - mean - (tf.cast(x, tf.float32) - center) * slope), x.dtype)
