"""MixFormer's attention: every head of a row asks its own slice of the events."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.sequences import attend
from rankup_keras.layers.tokens.per_token_initializer import PerTokenInitializer


@serializable
class HeadAttention(ConfiguredLayer):
    """One query per head, as wide as a head, over the head's slice of the events.

    `z_i = sum_t softmax_t(q_i . k_t^i / sqrt(D)) v_t^i` over real events, with
    `k_t^i = h_t^i K_i` and `v_t^i = h_t^i V_i`, `h_t^i` slice i of event t;
    zeros without events. No output projection; the block adds `q_i`.

    Args:
        num_slices: int or `None`. Number of slices of an event; `None` for the
            number N of heads.
        first_slice: int. The slice that the first head reads. Defaults to 0.
        order: as in `EventAttention`.
        kernel_initializer: initializer of one head's kernels. Defaults to
            `"glorot_uniform"`.

    Call arguments:
        queries: float tensor (batch, N, D).
        events: float tensor (batch, L, slices * D); or (1, L, slices * D), one
            user's for all rows.
        present: (batch, L) or (1, L), 0 or `False` at padding.

    Returns:
        Tensor (batch, N, D).

    Raises:
        ValueError: an event is not as wide as its slices together.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    heads, events = np.ones((2, 4, 16), "float32"), np.ones((2, 50, 64), "float32")
    mask = np.arange(50) < np.array([[20], [0]])
    print(rk.layers.HeadAttention()(heads, events, mask).shape)     # (2, 4, 16)
    ```

    References:
        - MixFormer, arXiv 2602.14110, cross attention of a block.
    """

    # Takes one row of events, and of their present, for many rows of queries.
    one_user_inputs = True

    def __init__(
        self,
        num_slices: int | None = None,
        first_slice: int = 0,
        order: str = "auto",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_slices = num_slices
        self.first_slice = first_slice
        self.order = attend.checked_order(order)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, queries_shape: Any, events_shape: Any, present_shape: Any = None) -> None:
        _, heads, width = queries_shape
        slices = self.num_slices or heads
        if events_shape[-1] != slices * width or self.first_slice + heads > slices:
            raise ValueError(
                f"Events must be {slices} slices of width {width}, {slices * width} together, of "
                f"which {heads} heads read {self.first_slice} to {self.first_slice + heads}. "
                f"Received events of width {events_shape[-1]}."
            )

        def kernel(name: str) -> Any:
            initializer = PerTokenInitializer(self.kernel_initializer.clone())
            return self.add_weight(name=name, shape=(heads, width, width), initializer=initializer)

        self.key, self.value = kernel("key"), kernel("value")
        length = events_shape[1] or 0
        self.flops = 4 * heads * width * min(width + length, length * (width + 1))
        self.built = True

    def call(self, queries: Any, events: Any, present: Any) -> Any:
        _, heads, width = queries.shape
        start = self.first_slice * width
        own = attend.without_padding(events[:, :, start : start + heads * width], present)
        events = attend.heads_of(own, heads)
        allowed = attend.real(present)[:, None, None, :]
        q = ops.expand_dims(queries, 2)  # (batch, N, 1, D)
        shared = attend.one_user(queries, own)
        q = attend.fold(q) if shared else q
        # Either kernel meets one query per head and row, or every event.
        costs = (q.shape[2] or ops.shape(q)[2], attend.length_of(own)) if shared else (0, 1)
        key, value = (ops.cast(kernel, q.dtype) for kernel in (self.key, self.value))

        def by_queries() -> Any:
            asked = ops.matmul(q, ops.transpose(key, (0, 2, 1)))
            return ops.matmul(_seen(asked, events, events, allowed, width), value)

        def by_events() -> Any:
            return _seen(q, ops.matmul(events, key), ops.matmul(events, value), allowed, width)

        found = attend.in_order(self.order, costs, by_queries, by_events)
        found = attend.unfold(found, 1) if shared else found
        return found[:, :, 0]

    def attention_weights(self, queries: Any, events: Any, present: Any) -> Any:
        """The attention (batch, N, 1, L) that a call with these arguments pays."""
        _, heads, width = queries.shape
        start = self.first_slice * width
        own = attend.without_padding(events[:, :, start : start + heads * width], present)
        keys = ops.matmul(attend.heads_of(own, heads), self.key)
        scores = ops.matmul(ops.expand_dims(queries, 2), ops.transpose(keys, (0, 1, 3, 2)))
        return attend.softmax_weights(scores, attend.real(present)[:, None, None, :], width)

    def compute_output_shape(
        self, queries_shape: Any, events_shape: Any, present_shape: Any = None
    ) -> tuple[int | None, ...]:
        return tuple(queries_shape)


def _seen(q: Any, keys: Any, values: Any, allowed: Any, width: int) -> Any:
    scores = ops.matmul(q, ops.transpose(keys, (0, 1, 3, 2)))
    return ops.matmul(attend.softmax_weights(scores, allowed, width), values)
