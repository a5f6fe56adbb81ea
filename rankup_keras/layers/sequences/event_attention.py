"""Queries look up events."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide
from rankup_keras.layers.sequences import attend


@serializable
class EventAttention(ConfiguredLayer):
    """Masked multi-head cross-attention of queries over events.

    Head h, with `d = units / H`, over the real events t:

    `a_t = softmax_t((q Q_h) . (e_t K_h) / sqrt(d))`, `z_h = sum_t a_t e_t V_h`,

    and the output is `concat_h(z_h) O`, zero where there are no events.

    `K_h` and `V_h` may be applied to the events, once for all queries, or, with
    the same result, to the queries and the weighted sums: cheaper for few
    queries over many events.

    Args:
        num_heads: int. H. Defaults to 4.
        units: int or `None`. Width of all heads together; `None` for that of
            the queries.
        order: what the key and value kernels are applied to: `"events"`,
            `"queries"`, or `"auto"` (default), whichever takes fewer FLOPs.
        kernel_initializer: defaults to `"glorot_uniform"`.

    Call arguments:
        queries: float tensor (batch, N, D).
        events: float tensor (batch, L, W); or (1, L, W), one user's for all rows.
        present: (batch, L) or (1, L), 0 or `False` at padding.
        visible: boolean (batch or 1, N, L), which events each query may see.
            Defaults to all.

    Returns:
        Tensor (batch, N, D).

    Raises:
        ValueError: H does not divide the units, or `order` is none of the three.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    queries, events = np.ones((2, 3, 16), "float32"), np.ones((2, 50, 24), "float32")
    mask = np.arange(50) < np.array([[20], [0]])        # the second user has no events
    print(rk.layers.EventAttention()(queries, events, mask).shape)      # (2, 3, 16)
    ```

    References:
        - Vaswani et al., arXiv 1706.03762, section 3.2.2; HyFormer, arXiv
          2601.12681, query decoding.
    """

    # Takes one row of events, and of their present, for many rows of queries.
    one_user_inputs = True

    def __init__(
        self,
        num_heads: int = 4,
        units: int | None = None,
        order: str = "auto",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.units = units
        self.order = attend.checked_order(order)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(
        self,
        queries_shape: Any,
        events_shape: Any,
        present_shape: Any = None,
        visible_shape: Any = None,
    ) -> None:
        width, units = queries_shape[-1], self.units or queries_shape[-1]
        must_divide("num_heads", self.num_heads, units)

        def kernel(name: str, rows: int, columns: int) -> Any:
            initializer = self.kernel_initializer.clone()
            return self.add_weight(name=name, shape=(rows, columns), initializer=initializer)

        self.query = kernel("query", width, units)
        self.key = kernel("key", events_shape[-1], units)
        self.value = kernel("value", events_shape[-1], units)
        self.out = kernel("out", units, width)
        count, length = queries_shape[1] or 0, events_shape[1] or 0
        self._costs_of_rows = costs = self._costs(count, length)
        self.flops = 4 * count * units * width + 4 * min(costs)
        self.built = True

    def call(self, queries: Any, events: Any, present: Any, visible: Any = None) -> Any:
        heads, count = self.num_heads, queries.shape[1]
        events = attend.without_padding(events, present)
        allowed = attend.real(present)[:, None, None, :]
        if visible is not None:
            allowed = ops.logical_and(allowed, visible[:, None])
        q = attend.heads_of(ops.matmul(queries, self.query), heads)
        shared = visible is None and attend.one_user(queries, events)
        q = attend.fold(q) if shared else q
        costs = self._costs_of_rows
        if shared:
            costs = self._costs(q.shape[2] or ops.shape(q)[2], attend.length_of(events))
        found = attend.in_order(
            self.order,
            costs,
            lambda: self._by_queries(q, events, allowed),
            lambda: self._by_events(q, events, allowed),
        )
        found = attend.unfold(found, count) if shared else found
        return ops.matmul(attend.joined(found), self.out)

    def attention_weights(self, queries: Any, events: Any, present: Any) -> Any:
        """The attention (batch, H, N, L) that a call with these arguments pays."""
        events = attend.without_padding(events, present)
        q = attend.heads_of(ops.matmul(queries, self.query), self.num_heads)
        keys = attend.heads_of(ops.matmul(events, self.key), self.num_heads)
        scores = ops.matmul(q, ops.transpose(keys, (0, 1, 3, 2)))
        return attend.softmax_weights(scores, attend.real(present)[:, None, None, :], q.shape[3])

    def _costs(self, count: Any, length: Any) -> tuple[Any, Any]:
        """Multiplications per kernel where the kernels meet the queries, and where the events."""
        heads, (width, units) = self.num_heads, self.key.shape
        of_queries = count * (units * width + heads * width * length)
        return of_queries, length * units * (width + count)

    def _by_events(self, q: Any, events: Any, allowed: Any) -> Any:
        keys = attend.heads_of(ops.matmul(events, self.key), self.num_heads)
        values = attend.heads_of(ops.matmul(events, self.value), self.num_heads)
        scores = ops.matmul(q, ops.transpose(keys, (0, 1, 3, 2)))
        return ops.matmul(attend.softmax_weights(scores, allowed, q.shape[3]), values)

    def _by_queries(self, q: Any, events: Any, allowed: Any) -> Any:
        shape = (events.shape[2], self.num_heads, q.shape[3])
        asked = ops.einsum("bhnd,whd->bhnw", q, ops.reshape(self._cast(self.key, q), shape))
        scores = ops.einsum("bhnw,blw->bhnl", asked, events)
        weights = attend.softmax_weights(scores, allowed, q.shape[3])
        seen = ops.einsum("bhnl,blw->bhnw", weights, events)
        return ops.einsum("bhnw,whd->bhnd", seen, ops.reshape(self._cast(self.value, q), shape))

    @staticmethod
    def _cast(kernel: Any, like: Any) -> Any:
        return ops.cast(kernel, like.dtype)

    def compute_output_shape(
        self,
        queries_shape: Any,
        events_shape: Any,
        present_shape: Any = None,
        visible_shape: Any = None,
    ) -> tuple[int | None, ...]:
        return tuple(queries_shape)
