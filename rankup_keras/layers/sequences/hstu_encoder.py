"""HSTU's layers over events."""

import math
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from rankup_keras.layers.sequences import attend
from rankup_keras.layers.sequences.transformer_encoder import older_or_same


@serializable
class HSTUEncoder(ConfiguredLayer):
    """Gated attention without softmax, an event seeing itself and older ones.

    In every layer, with `n = LN(x)`, from event i to event t:

    `U, V, Q, K = split(silu(n W))`, `A = silu(Q Kᵀ + r) / m`,
    `x' = x + (LN(A V) * U) O`

    m is the number of real events that i sees, and r a learned bias per head of
    how many events lie between them and, where times are given, of the
    logarithm of the time between them, in buckets.

    Args:
        num_layers: int. Defaults to 1.
        num_heads: int. Defaults to 4; must divide the width of an event.
        time_buckets: int. Powers of 2 seconds that are told apart. Defaults to 32.

    Call arguments:
        events: float tensor (batch, L, W), newest first.
        present: (batch, L), 0 or `False` at padding.
        gaps: float tensor (batch, L), how many seconds ago each event was;
            `None` (default) for no bias of time.

    Returns:
        Events (batch, L, W), zeros at padding, and their mask.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events, mask = np.ones((2, 6, 16), "float32"), np.arange(6) < np.array([[4], [0]])
    encoded, mask = rk.layers.HSTUEncoder()(events, mask)
    print(encoded.shape)        # (2, 6, 16)
    ```

    References:
        - HSTU, arXiv 2402.17152, equations 1 to 3. It divides by the length that
          events are padded to; here padding changes nothing.
    """

    def __init__(
        self, num_layers: int = 1, num_heads: int = 4, time_buckets: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.time_buckets = time_buckets

    def build(self, events_shape: Any, present_shape: Any = None, gaps_shape: Any = None) -> None:
        _, length, width = events_shape
        must_divide("num_heads", self.num_heads, width)
        policy = self.dtype_policy
        self.parts = []
        for number in range(1, self.num_layers + 1):
            norm, after = (
                LayerNorm(name=f"{name}_{number}", dtype=policy) for name in ("norm", "after")
            )
            four = keras.layers.Dense(4 * width, "silu", name=f"four_{number}", dtype=policy)
            out = keras.layers.Dense(width, name=f"out_{number}", dtype=policy)
            for layer in (norm, after, four, out):
                layer.build(events_shape)
            place = self.add_weight(
                name=f"place_bias_{number}", shape=(length, self.num_heads), initializer="zeros"
            )
            time = None
            if gaps_shape is not None:
                time = self.add_weight(
                    name=f"time_bias_{number}",
                    shape=(self.time_buckets, self.num_heads),
                    initializer="zeros",
                )
            self.parts.append((norm, four, after, out, place, time))
        self._layers_of_parts = [layer for part in self.parts for layer in part[:4]]
        self.flops = self.num_layers * length * width * (10 * width + 4 * length)
        self.built = True

    def call(self, events: Any, present: Any, gaps: Any = None) -> Any:
        length = attend.length_of(events)
        x, there = attend.without_padding(events, present), attend.real(present)
        allowed = ops.logical_and(there[:, None, None, :], older_or_same(length)[:, None])
        places = ops.arange(length)
        apart = ops.maximum(places[None, :] - places[:, None], 0)
        buckets = None
        if gaps is not None:
            between = ops.abs(gaps[:, :, None] - gaps[:, None, :])
            buckets = ops.log(ops.cast(between, "float32") + 1) / math.log(2)
            buckets = ops.clip(ops.cast(buckets, "int32"), 0, self.time_buckets - 1)
        for norm, four, after, out, place, time in self.parts:
            u, v, q, k = ops.split(four(norm(x)), 4, axis=-1)
            q, k, v = (attend.heads_of(part, self.num_heads) for part in (q, k, v))
            bias = ops.transpose(ops.take(place, apart, axis=0), (2, 0, 1))[None]
            if buckets is not None:
                bias = bias + ops.transpose(ops.take(time, buckets, axis=0), (0, 3, 1, 2))
            scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
            weights = attend.silu_weights(scores, allowed, ops.cast(bias, scores.dtype))
            x = x + out(after(attend.joined(ops.matmul(weights, v))) * u)
        return attend.without_padding(x, present), present

    def compute_output_spec(self, events: Any, present: Any, gaps: Any = None) -> Any:
        same = keras.KerasTensor(present.shape, present.dtype)
        return keras.KerasTensor(events.shape, self.compute_dtype), same
