"""Every function in `keras.ops`, as its equation says: what the other forms are tested against."""

from collections.abc import Callable
from typing import Any

from keras import ops

from rankup_keras.kernels.layout import (
    batch_first,
    in_layout,
    lies_tokens_first,
    tokens_first,
)

Affine = tuple[Any, Any]  # a kernel (T, I, O), and its bias (T, 1, O) or `None`


def product(x: Any, affine: Affine) -> Any:
    """`x_t W_t + b_t` for (T, batch, I)."""
    kernel, bias = affine
    y = ops.matmul(x, kernel)
    return y if bias is None else y + bias


def activated(x: Any, activation: Callable[[Any], Any], gated: bool) -> Any:
    """`f(x)`, or `f(gate) * value` of the two halves of `x`."""
    if not gated:
        return activation(x)
    gate, value = ops.split(x, 2, axis=-1)
    return activation(gate) * value


def per_token_dense(x: Any, affine: Affine, activation: Callable[[Any], Any]) -> Any:
    return batch_first(activation(product(tokens_first(x), affine)))


def per_token_ffn(
    x: Any,
    up: Affine,
    down: Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    dropout: Callable[[Any], Any],
) -> Any:
    hidden = activated(product(tokens_first(x), up), activation, gated)
    return batch_first(product(dropout(hidden), down))


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    return in_layout(lambda x: ops.layer_normalization(x, gamma, beta, -1, epsilon), x)


def add(x: Any, y: Any) -> Any:
    return in_layout(ops.add, x, y)


def residual(
    x: Any,
    layer: Callable[[Any], Any],
    before: Callable[[Any], Any] | None,
    after: Callable[[Any], Any] | None,
    dropout: Callable[[Any], Any],
) -> Any:
    inner = layer(x if before is None else before(x))
    y = add(x, in_layout(dropout, inner))
    return y if after is None else after(y)


def mix_tokens(x: Any, heads: int) -> Any:
    tokens, width = x.shape[1], x.shape[2]
    head_dim = width // heads
    if lies_tokens_first(x):
        x = ops.reshape(tokens_first(x), (tokens, -1, heads, head_dim))
        mixed = ops.transpose(x, (2, 1, 0, 3))
        return batch_first(ops.reshape(mixed, (heads, -1, tokens * head_dim)))
    x = ops.reshape(x, (-1, tokens, heads, head_dim))
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, heads, tokens * head_dim))


def split_tokens(x: Any, count: int) -> tuple[Any, Any]:
    # One concatenation is its gradient, where two slices have two tensors of zeros.
    if lies_tokens_first(x):
        first, rest = ops.split(tokens_first(x), [count], axis=0)
        return batch_first(first), batch_first(rest)
    first, rest = ops.split(x, [count], axis=1)
    return first, rest


def mean_of_tokens(x: Any) -> Any:
    if lies_tokens_first(x):
        return ops.mean(tokens_first(x), axis=0)
    return ops.mean(x, axis=1)


def per_token_moe(
    x: Any,
    gates: Any,
    up: Affine,
    down: Affine,
    activation: Callable[[Any], Any],
    gated: bool,
) -> Any:
    # All experts are two batched products: a hidden layer is scaled by its gate before the second.
    x, gates = tokens_first(x), tokens_first(gates)
    hidden = activated(product(x, up), activation, gated)
    experts, width = gates.shape[-1], hidden.shape[-1]
    hidden = ops.reshape(hidden, (x.shape[0], -1, experts, width // experts))
    hidden = ops.reshape(hidden * ops.expand_dims(gates, -1), (x.shape[0], -1, width))
    kernel, expert_bias = down
    y = ops.matmul(hidden, kernel)
    return batch_first(y if expert_bias is None else y + ops.matmul(gates, expert_bias))


def scale_tokens(x: Any, gain: Any) -> Any:
    if lies_tokens_first(x):
        return batch_first(tokens_first(x) * ops.expand_dims(gain, 1))
    return x * gain
