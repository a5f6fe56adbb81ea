"""Forms for training in graphs: a hidden layer as one kernel, norms in one pass each way."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.xla import optimization_barrier
from rankup_keras.kernels import fused, reference
from rankup_keras.kernels.layout import batch_first, in_layout, lies_tokens_first, tokens_first


def per_token_ffn(
    x: Any,
    up: reference.Affine,
    down: reference.Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    dropout: Callable[[Any], Any],
) -> Any:
    """The hidden layer is one kernel: bias, activation and gate, and one for its gradient."""
    if not fused.is_plain(activation):
        return reference.per_token_ffn(x, up, down, activation, gated, dropout)
    (up_kernel, up_bias), (down_kernel, down_bias) = map(_as_tensors, (up, down))
    product = tf.matmul(tokens_first(x), up_kernel)
    hidden = fused.one_kernel(fused.hidden_layer, activation, gated)(product, up_bias)
    y = tf.matmul(dropout(hidden), down_kernel)
    return batch_first(y if down_bias is None else fused.add_bias(y, down_bias))


def _as_tensors(affine: reference.Affine) -> tuple[Any, Any]:
    kernel, bias = affine
    return keras.ops.convert_to_tensor(kernel), None if bias is None else tf.convert_to_tensor(bias)


def graph_residual(
    x: Any,
    layer: Callable[[Any], Any],
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    dropout: Callable[[Any], Any],
) -> Any:
    """Sums, and those of gradients, as `fused.sum_of`, in the layout of what they add."""
    x, inner = in_layout(fused.two_uses, x)
    inner = layer(inner if before is None else before(inner))
    y = in_layout(fused.add, x, in_layout(dropout, inner))
    return y if after is None else after(y)


def gpu_residual(
    x: Any,
    layer: Callable[[Any], Any],
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    dropout: Callable[[Any], Any],
) -> Any:
    """The sum is rounded in memory, and so are its gradient and that of a norm before the layer.

    Without the barriers XLA leaves the rounding out where another sum follows, and writes float32;
    of a mixing layer's gradient, which the norm's kernel cannot read transposed, times the gain.
    """
    inner = layer(x if before is None else in_layout(_rounded_gradient, before(x)))
    y = in_layout(_rounded, reference.add(x, in_layout(dropout, inner)))
    return y if after is None else after(y)


@tf.custom_gradient
def _rounded(x: Any) -> Any:
    return optimization_barrier(x), optimization_barrier


@tf.custom_gradient
def _rounded_gradient(x: Any) -> Any:
    return tf.identity(x), optimization_barrier


def mean_of_tokens(x: Any) -> Any:
    """The gradient divides before it repeats."""
    x, axis = (tokens_first(x), 0) if lies_tokens_first(x) else (x, 1)
    count, shape = x.shape[axis], tf.shape(x)

    @tf.custom_gradient
    def mean(x: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            return tf.broadcast_to(tf.expand_dims(upstream / count, axis), shape)

        return keras.ops.mean(x, axis=axis), gradient

    return mean(x)


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """Mean and mean of squares in float32; the gradient keeps the input and two numbers per row.

    The variance is `mean(x²) - mean(x)²`, which loses digits where the mean is many times the
    standard deviation: a thousandth of the variance at 100 times.
    """
    return _with_short_statistics(_normalize, x, gamma, beta, epsilon)


def cpu_layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """`layer_norm` where XLA does not vectorise sums along rows, and plain ops pass once each.

    Sums are matrix-vector products and reductions, and XLA makes one kernel of what lies between.
    """
    return _with_short_statistics(_normalize_by_products, x, gamma, beta, epsilon)


def _with_short_statistics(
    normalize: Callable[..., Any], x: Any, gamma: Any, beta: Any, epsilon: float
) -> Any:
    if gamma is None or beta is None or x.dtype == tf.float64:
        return reference.layer_norm(x, gamma, beta, epsilon)
    gamma, beta = (keras.ops.cast(weight, "float32") for weight in (gamma, beta))
    return in_layout(lambda x: normalize(epsilon, x, gamma, beta), x)


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


@fused.xla_kernel
def _normal_rows(x: Any, center: Any, scale: Any, gamma: Any, beta: Any) -> Any:
    return fused.narrow((tf.cast(x, tf.float32) - center) * scale * gamma + beta, x.dtype)


@fused.xla_kernel
def _along(x: Any, center: Any, upstream: Any) -> Any:
    return (tf.cast(x, tf.float32) - center) * tf.cast(upstream, tf.float32)


@fused.xla_kernel
def _gradient_of_rows(
    x: Any, center: Any, scale: Any, gamma: Any, upstream: Any, mean: Any, slope: Any
) -> Any:
    inner = tf.cast(upstream, tf.float32) * gamma
    return fused.narrow(scale * (inner - mean - (tf.cast(x, tf.float32) - center) * slope), x.dtype)
