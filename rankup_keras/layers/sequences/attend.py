"""Masked attention over events: the one place where it is computed.

Keras's fused attention has no form for TensorFlow, and reads padding where nothing else is there.
"""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

# Far below any score, and finite: of padding alone a softmax would be NaN.
LOW = -1e9
ORDERS = ("auto", "events", "queries")


def real(mask: Any) -> Any:
    """A mask of any dtype as booleans: not 0 is an event."""
    return ops.not_equal(mask, ops.cast(0, mask.dtype)) if mask.dtype != "bool" else mask


def without_padding(events: Any, mask: Any) -> Any:
    """Events (batch, L, W) with zeros for whatever stands at padding, be it NaN."""
    return ops.where(ops.expand_dims(real(mask), -1), events, ops.zeros_like(events))


def length_of(x: Any) -> Any:
    """L of (batch, L, ...), known late where padding was trimmed."""
    return x.shape[1] or ops.shape(x)[1]


def one_user(queries: Any, events: Any) -> bool:
    """Whether many rows of queries ask one row of events, as when candidates are ranked."""
    return events.shape[0] == 1 and queries.shape[0] != 1


def fold(queries: Any) -> Any:
    """(batch, H, N, d) → (1, H, batch * N, d): all rows' queries as one row's."""
    _, heads, _, width = queries.shape
    return ops.reshape(ops.transpose(queries, (1, 0, 2, 3)), (1, heads, -1, width))


def unfold(x: Any, count: int) -> Any:
    """The way back of `fold`, of N = `count`."""
    _, heads, _, width = x.shape
    return ops.transpose(ops.reshape(x, (heads, -1, count, width)), (1, 0, 2, 3))


def softmax_weights(scores: Any, mask: Any, width: int) -> Any:
    """Softmax over real events, all zero where there are none.

    Args:
        scores: (batch, H, N, L), products of queries and keys.
        mask: booleans that broadcast to them.
        width: d, by whose root scores are divided.
    """
    dtype = scores.dtype
    scores = ops.cast(scores, "float32") / math.sqrt(width)
    weights = ops.softmax(ops.where(mask, scores, LOW), axis=-1)
    return ops.cast(ops.where(mask, weights, 0.0), dtype)


def silu_weights(scores: Any, mask: Any, bias: Any) -> Any:
    """HSTU's weights: `silu(score + bias) / n` over the n events that a query may see."""
    count = ops.maximum(ops.sum(ops.cast(mask, scores.dtype), axis=-1, keepdims=True), 1)
    return ops.where(mask, ops.silu(scores + bias), 0.0) / count


def heads_of(x: Any, heads: int) -> Any:
    """(batch, N, H d) → (batch, H, N, d)."""
    x = ops.reshape(x, (-1, length_of(x), heads, x.shape[2] // heads))
    return ops.transpose(x, (0, 2, 1, 3))


def joined(x: Any) -> Any:
    """(batch, H, N, d) → (batch, N, H d)."""
    x = ops.transpose(x, (0, 2, 1, 3))
    return ops.reshape(x, (-1, length_of(x), x.shape[2] * x.shape[3]))


def checked_order(order: str) -> str:
    """What key and value kernels are applied to, out of `ORDERS`."""
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {ORDERS}. Received: order={order!r}.")
    return order


def in_order(
    order: str, costs: tuple[Any, Any], by_queries: Callable[[], Any], by_events: Callable[[], Any]
) -> Any:
    """What the order asks for, `"auto"` for the cheaper one; costs may be known late."""
    if order != "auto":
        return by_queries() if order == "queries" else by_events()
    if all(isinstance(cost, int | float) for cost in costs):
        return by_queries() if costs[0] < costs[1] else by_events()
    return ops.cond(costs[0] < costs[1], by_queries, by_events)
