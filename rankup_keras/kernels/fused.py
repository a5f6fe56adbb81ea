"""Element-wise work in few passes over memory, where TensorFlow would make one pass an operation.

Beside batched products a stack's time goes into element-wise passes: an exact GELU is five of them
forward and ten backward. While training, XLA makes one kernel of such a chain, the products staying
with TensorFlow's own, which are faster on CPUs.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.kernels import reference
from rankup_keras.kernels.program import program

# A function that XLA compiles to kernels, for every shape that it meets.
xla_kernel = functools.partial(tf.function, jit_compile=True, autograph=False)


def is_plain(activation: Any) -> bool:
    """Whether an activation is a function of Keras's own, without variables or randomness."""
    return inspect.isfunction(activation) and activation.__module__.startswith("keras.")


@functools.lru_cache(maxsize=64)
def one_kernel(function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    """`function(*fixed, x, bias)` as one XLA kernel, and one for its gradient by `x`.

    The gradient computes the function again from its inputs, so that nothing else is kept in
    memory.

    Args:
        function: element-wise work on `x` (T, batch, width) to which it first adds `bias`
            (T, 1, width), or `None`; no variables.
        *fixed: its first arguments, which are not tensors.
    """
    plain = functools.partial(function, *fixed)
    forward = xla_kernel(plain)

    @xla_kernel
    def backward(x: Any, bias: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = plain(x, bias)
        return tape.gradient(result, x, upstream)

    @tf.custom_gradient
    def kernel(x: Any, *biases: Any) -> Any:
        bias = biases[0] if biases else None

        def gradient(upstream: Any) -> Any:
            dx = backward(x, bias, upstream)
            # Not in the kernel: in bfloat16 XLA's sum over rows takes three times a product's time.
            return (dx, sum_of_rows(dx)) if biases else dx

        return forward(x, bias), gradient

    def call(x: Any, bias: Any = None) -> Any:
        return kernel(x) if bias is None else kernel(x, bias)

    return call


def hidden_layer(activation: Any, gated: bool, product: Any, bias: Any = None) -> Any:
    """`reference.activated` of a product and its bias, in at least float32."""
    wide = product.dtype == tf.float64
    x = product if wide else _wide(product)
    if bias is not None:
        x += tf.cast(bias, x.dtype)
    if activation is keras.activations.gelu and not wide:
        activation = exact_gelu
    x = reference.activated(x, activation, gated)
    return x if wide else _back_to(product.dtype, x)


def exact_gelu(x: Any) -> Any:
    """`x (1 + erf(x / sqrt(2))) / 2` in float32, to an error of 2e-7 (1 + |x|).

    By `erf`, which XLA computes in half the time of the `erfc` in TensorFlow's GELU.
    """
    half = 0.5 * x
    return half + half * tf.math.erf(x * math.sqrt(0.5))


def sum_of_rows(x: Any) -> Any:
    """(T, batch, width) to (T, 1, width), as a product, where CPUs sum a middle axis slowly."""
    shape = tf.shape(x)
    return tf.matmul(tf.ones(tf.stack([shape[0], 1, shape[1]]), x.dtype), x)


@tf.custom_gradient
def add_bias(x: Any, bias: Any) -> Any:
    """`x + bias` for (T, batch, width) and (T, 1, width)."""
    return sum_of(x, bias), lambda upstream: (upstream, sum_of_rows(upstream))


@tf.custom_gradient
def add(x: Any, y: Any) -> Any:
    """`x + y` of equal shapes."""
    return sum_of(x, y), lambda upstream: (upstream, upstream)


@tf.custom_gradient
def two_uses(x: Any) -> Any:
    """`x` twice, whose gradients are added as in `add`."""
    return (tf.identity(x), tf.identity(x)), sum_of


def sum_of(x: Any, y: Any) -> Any:
    """`x + y`; TensorFlow's own sums of bfloat16 take twice as long on CPUs."""
    narrow_on_cpu = x.dtype == tf.bfloat16 and program() == "cpu"
    return _narrow_sum(x, y) if narrow_on_cpu else x + y


@xla_kernel
def _narrow_sum(x: Any, y: Any) -> Any:
    return narrow(tf.cast(x, tf.float32) + tf.cast(y, tf.float32), x.dtype)


def narrow(x: Any, dtype: tf.DType) -> Any:
    """A cast of float32, to the nearest as any; within a kernel, for it has no gradient."""
    if dtype != tf.bfloat16:
        return tf.cast(x, dtype)
    # The upper half of float32's bits, after rounding to even. XLA's own cast looks for NaN first,
    # with which a CPU's kernel takes up to twice as long; a NaN that arithmetic makes stays one. On
    # GPUs XLA leaves its own cast out where a wider type follows, and writes that to memory.
    bits = tf.bitcast(x, tf.uint32)
    half = tf.constant(16, tf.uint32)
    odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, half), tf.constant(1, tf.uint32))
    rounded = tf.bitwise.right_shift(bits + odd + tf.constant(0x7FFF, tf.uint32), half)
    return tf.bitcast(tf.cast(rounded, tf.uint16), tf.bfloat16)


@tf.custom_gradient
def _wide(x: Any) -> Any:
    return tf.cast(x, tf.float32), lambda upstream: narrow(upstream, x.dtype)


def _back_to(dtype: tf.DType, x: Any) -> Any:
    @tf.custom_gradient
    def narrowed(x: Any) -> Any:
        return narrow(x, dtype), lambda upstream: tf.cast(upstream, tf.float32)

    return narrowed(x)
