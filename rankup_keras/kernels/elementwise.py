"""Element-wise work in few passes over memory, where TensorFlow would make one pass an operation.

Beside batched products a stack's time goes into element-wise passes: an exact GELU is five of them
forward and ten backward. While training, XLA makes one kernel of such a chain, the products staying
with TensorFlow's own, which are faster on CPUs. A served graph has no XLA in it, for it would
compile anew at each batch size; there TensorFlow folds biases and activations into plain products.
"""

import contextlib
import contextvars
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.kernels.devices import has_accelerator, in_xla

# A function that XLA compiles to kernels, for every shape that it meets.
xla_kernel = functools.partial(tf.function, jit_compile=True, autograph=False)


@functools.lru_cache(maxsize=64)
def one_kernel(function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    """`function(*fixed, x, bias)` as one XLA kernel, and one for its gradient by `x`.

    The gradient computes the function again from its inputs, so that nothing else is kept in
    memory. Outside a graph it is the plain function: there compiling would cost more than it saves.

    Args:
        function: element-wise work on `x` (T, batch, width) to which it first adds `bias`
            (T, 1, width), or `None`; no variables.
        *fixed: its first arguments, which are no tensors.
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
    def kernel(x: Any, *bias: Any) -> Any:
        given = bias[0] if bias else None

        def gradient(upstream: Any) -> Any:
            dx = backward(x, given, upstream)
            # Not in the kernel: in bfloat16 XLA's sum over rows takes three times a product's time.
            return (dx, sum_of_rows(dx)) if bias else dx

        return forward(x, given), gradient

    def call(x: Any, bias: Any = None) -> Any:
        if tf.executing_eagerly():
            return plain(x, bias)
        return kernel(x) if bias is None else kernel(x, bias)

    return call


def sum_of_rows(x: Any) -> Any:
    """(T, batch, width) to (T, 1, width), as a product, where CPUs sum a middle axis slowly."""
    shape = tf.shape(x)
    return tf.matmul(tf.ones(tf.stack([shape[0], 1, shape[1]]), x.dtype), x)


def add_bias(x: Any, bias: Any) -> Any:
    """`x + bias` for (T, batch, width) and (T, 1, width)."""

    @tf.custom_gradient
    def added(x: Any, bias: Any) -> Any:
        return _sum(x, bias), lambda upstream: (upstream, sum_of_rows(upstream))

    return added(x, bias)


def add(x: Any, y: Any) -> Any:
    """`x + y` of equal shapes."""

    @tf.custom_gradient
    def added(x: Any, y: Any) -> Any:
        return _sum(x, y), lambda upstream: (upstream, upstream)

    return added(x, y)


@tf.custom_gradient
def twice(x: Any) -> Any:
    """`x` for two uses, whose gradients are added as in `add`."""
    return (tf.identity(x), tf.identity(x)), _sum


def _sum(x: Any, y: Any) -> Any:
    # TensorFlow's own sums of bfloat16 take twice as long on CPUs.
    return _sum_kernel(x, y) if x.dtype == tf.bfloat16 and by_ops() else x + y


@xla_kernel
def _sum_kernel(x: Any, y: Any) -> Any:
    return narrow(tf.cast(x, tf.float32) + tf.cast(y, tf.float32), x.dtype)


def narrow(x: Any, dtype: tf.DType) -> Any:
    """A cast of float32, to the nearest as any; within a kernel, for it has no gradient."""
    if dtype != tf.bfloat16:
        return tf.cast(x, dtype)
    # The upper half of float32's bits, after rounding to even. XLA's own cast looks for NaN first,
    # with which a kernel takes up to twice as long; a NaN that arithmetic makes stays one here.
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


def exact_gelu(x: Any) -> Any:
    """`x (1 + erf(x / sqrt(2))) / 2` in float32, to an error of 2e-7 (1 + |x|).

    By `erf`, which XLA computes in half the time of the `erfc` in TensorFlow's GELU.
    """
    half = 0.5 * x
    return half + half * tf.math.erf(x * math.sqrt(0.5))


def is_plain(activation: Any) -> bool:
    """Whether an activation is a function of Keras's own, without variables or randomness."""
    return inspect.isfunction(activation) and activation.__module__.startswith("keras.")


_WHOLE: contextvars.ContextVar[bool] = contextvars.ContextVar("whole_program", default=False)


@contextlib.contextmanager
def whole_program() -> Iterator[None]:
    """While XLA compiles a whole step for a TPU, which decides itself what becomes one kernel."""
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def on_tpu() -> bool:
    """Whether the program being traced is compiled as a whole, for a TPU."""
    strategy = tf.distribute.get_strategy()
    return _WHOLE.get() or isinstance(strategy, tf.distribute.TPUStrategy)


def fuses(activation: Any) -> bool:
    """Whether `one_kernel` serves a hidden layer of this activation where it will run."""
    # A TPU would write the float32 that the kernel computes in, twice the bytes of bfloat16.
    return is_plain(activation) and not on_tpu()


def folds() -> bool:
    """Whether a graph is being built for a CPU, on which TensorFlow folds work into products."""
    return not tf.executing_eagerly() and not has_accelerator()


def by_ops() -> bool:
    """Whether a graph is being built that a CPU executes op by op, not XLA as a whole."""
    return folds() and not on_tpu() and not in_xla()


def gated_hidden(activation: Any, gated: bool, product: Any, bias: Any = None) -> Any:
    """Hidden layer of a network from the product of its first kernel, in at least float32."""
    wide = product.dtype == tf.float64
    x = product if wide else _wide(product)
    if bias is not None:
        x += tf.cast(bias, x.dtype)
    if activation is keras.activations.gelu and not wide:
        activation = exact_gelu
    if gated:
        gate, value = tf.split(x, 2, axis=-1)
        x = activation(gate) * value
    else:
        x = activation(x)
    return x if wide else _back_to(product.dtype, x)


def by_token(network: Callable[..., Any], x: Any, *weights: Any) -> Any:
    """`network(x_t, *weights_t)` of every token, stacked; `None` among the weights stays."""
    parts = [
        [None] * x.shape[0] if weight is None else tf.unstack(keras.ops.convert_to_tensor(weight))
        for weight in weights
    ]
    return tf.stack([network(*token) for token in zip(tf.unstack(x), *parts, strict=True)])


def plain_product(x: Any, kernel: Any, bias: Any) -> Any:
    """`x W + b` of one token, in the form that TensorFlow folds."""
    product = tf.matmul(x, kernel)
    return product if bias is None else tf.nn.bias_add(product, tf.reshape(bias, (-1,)))
