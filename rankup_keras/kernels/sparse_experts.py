"""A mixture of experts in which an expert computes only the rows that chose it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from rankup_keras.kernels import reference
from rankup_keras.kernels.layout import batch_first, tokens_first

# Fewer rows than this are no faster by themselves.
MIN_ROWS = 64


def per_token_moe(
    x: Any,
    gates: Any,
    up: reference.Affine,
    down: reference.Affine,
    activation: Callable[[Any], Any],
    gated: bool,
) -> Any:
    """Sparse where the fullest expert has at most half of the rows, dense elsewhere."""
    rows = tf.shape(x)[0]
    by_expert = tf.transpose(gates, (1, 2, 0))
    fullest = tf.reduce_max(tf.reduce_sum(tf.cast(by_expert > 0, tf.int32), axis=-1))
    y = tf.cond(
        tf.logical_and(rows >= MIN_ROWS, 2 * fullest <= rows),
        lambda: _sparse(x, by_expert, tf.maximum(fullest, 1), up, down, activation, gated),
        lambda: reference.per_token_moe(x, gates, up, down, activation, gated),
    )
    return tf.ensure_shape(y, x.shape)


def _sparse(
    x: Any,
    by_expert: Any,
    count: Any,
    up: Any,
    down: Any,
    activation: Callable[[Any], Any],
    gated: bool,
) -> Any:
    """Each expert on the `count` rows with its largest gates; those left out have none."""
    x = tokens_first(x)
    tokens, experts, width = x.shape[0], by_expert.shape[1], x.shape[2]
    (up_kernel, up_bias), (down_kernel, expert_bias) = (
        [None if part is None else ops.convert_to_tensor(part) for part in affine]
        for affine in (up, down)
    )
    gate, row = tf.math.top_k(by_expert, count, sorted=False)
    gate = gate[..., None]
    chosen = tf.gather(x, tf.reshape(row, (tokens, -1)), batch_dims=1)
    chosen = tf.reshape(chosen, (tokens, experts, -1, width))
    # An expert's gate and value side by side, where all gates stand before all values.
    halves = tf.reshape(up_kernel, (tokens, width, 1 + gated, experts, -1))
    kernel = tf.reshape(tf.transpose(halves, (0, 3, 1, 2, 4)), (tokens, experts, width, -1))
    product = tf.matmul(chosen, kernel)
    if up_bias is not None:
        halves = tf.reshape(up_bias, (tokens, 1 + gated, experts, -1))
        product += tf.reshape(tf.transpose(halves, (0, 2, 1, 3)), (tokens, experts, 1, -1))
    hidden = reference.activated(product, activation, gated) * gate
    parts = tf.matmul(hidden, tf.reshape(down_kernel, (tokens, experts, -1, width)))
    if expert_bias is not None:
        parts += gate * expert_bias[:, :, None]
    token = tf.broadcast_to(tf.range(tokens)[:, None, None], tf.shape(row))
    return batch_first(tf.scatter_nd(tf.stack([token, row], axis=-1), parts, tf.shape(x)))
