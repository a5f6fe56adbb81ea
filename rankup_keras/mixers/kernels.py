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
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from rankup_keras._devices import has_accelerator


@functools.lru_cache(maxsize=64)
def one_kernel(function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    """`function(*fixed, *tensors)` as one XLA kernel, and one for its gradient.

    The gradient computes the function again from its inputs, so that nothing else is kept in
    memory. Outside a graph it is the plain function: there compiling would cost more than it saves.

    Args:
        function: element-wise work on tensors; no variables.
        *fixed: its first arguments, which are no tensors.
    """
    plain = functools.partial(function, *fixed)
    forward = tf.function(plain, jit_compile=True, autograph=False)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def backward(tensors: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = plain(*tensors)
        return tape.gradient(result, tensors, upstream)

    @tf.custom_gradient
    def kernel(*tensors: Any) -> Any:
        return forward(*tensors), lambda upstream: backward(list(tensors), upstream)

    def call(*tensors: Any) -> Any:
        return plain(*tensors) if tf.executing_eagerly() else kernel(*tensors)

    return call


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


def gated_hidden(activation: Any, gated: bool, product: Any, bias: Any = None) -> Any:
    """Hidden layer of a network from the product of its first kernel, in at least float32."""
    wide = tf.float64 if product.dtype == tf.float64 else tf.float32
    x = tf.cast(product, wide)
    if bias is not None:
        x += tf.cast(bias, wide)
    if gated:
        gate, value = tf.split(x, 2, axis=-1)
        x = activation(gate) * value
    else:
        x = activation(x)
    return tf.cast(x, product.dtype)


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
