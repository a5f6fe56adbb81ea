"""Forms for graphs that a CPU serves: the ops in which TensorFlow sees what oneDNN has kernels for.

There is no XLA in them, for it would compile anew at each batch size.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.kernels import reference
from rankup_keras.kernels.layout import batch_first, in_layout, lies_tokens_first, tokens_first


def per_token_ffn(
    x: Any,
    up: reference.Affine,
    down: reference.Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    dropout: Callable[[Any], Any],
) -> Any:
    """Token by token: into plain products TensorFlow folds biases and activations."""

    def network(x: Any, up: Any, up_bias: Any, down: Any, down_bias: Any) -> Any:
        hidden = reference.activated(_product(x, up, up_bias), activation, gated)
        return _product(hidden, down, down_bias)

    return batch_first(_by_token(network, tokens_first(x), *up, *down))


def _product(x: Any, kernel: Any, bias: Any) -> Any:
    product = tf.matmul(x, kernel)
    return product if bias is None else tf.nn.bias_add(product, tf.reshape(bias, (-1,)))


def _by_token(network: Callable[..., Any], x: Any, *weights: Any) -> Any:
    """`network(x_t, *weights_t)` of every token, stacked; `None` among the weights stays."""
    parts = [
        [None] * x.shape[0] if weight is None else tf.unstack(keras.ops.convert_to_tensor(weight))
        for weight in weights
    ]
    return tf.stack([network(*token) for token in zip(tf.unstack(x), *parts, strict=True)])


def residual(
    x: Any,
    layer: Callable[[Any], Any],
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    dropout: Callable[[Any], Any],
) -> Any:
    """In bfloat16, in which sums are slow, each token's is folded into its last product."""
    y = layer(x if before is None else before(x))
    tokens = _stacked_tokens(y)
    if tokens is None or x.dtype != y.dtype or y.dtype != tf.bfloat16:
        y = reference.add(x, y)
    else:
        # As `AddN`, which does not broadcast: an `Add` of an unknown batch might, and stays.
        pairs = zip(tokens, tf.unstack(tokens_first(x)), strict=True)
        y = batch_first(tf.stack([tf.add_n(pair) for pair in pairs]))
    return y if after is None else after(y)


def _stacked_tokens(y: Any) -> list[Any] | None:
    """The tokens that `per_token_ffn` has just stacked to `y`, if it has."""
    if not lies_tokens_first(y) or y.op.inputs[0].op.type != "Pack":
        return None
    return list(y.op.inputs[0].op.inputs)


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """The ops in which TensorFlow recognises a layer norm, to run it as one kernel of oneDNN."""
    if gamma is None or beta is None or x.dtype == tf.float64:
        return reference.layer_norm(x, gamma, beta, epsilon)
    return in_layout(lambda x: _recognised_norm(x, gamma, beta, epsilon), x)


def _recognised_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
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
        epsilon=epsilon,
        data_format="NCHW",
        is_training=True,
    )
    gamma, beta = (keras.ops.cast(weight, x.dtype) for weight in (gamma, beta))
    y = tf.add(tf.multiply(tf.reshape(normal, shape), gamma), beta)
    return tf.ensure_shape(y, x.shape)
