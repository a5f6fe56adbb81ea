"""LONGER: recent events ask all of them."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.sequences import attend
from rankup_keras.layers.sequences.transformer_encoder import EncoderLayer, older_or_same


@serializable
class LongerEncoder(ConfiguredLayer):
    """Few queries over many merged events, then causal self-attention of the few.

    K neighbors become one: their concatenation, projected to the width of an
    event. In the first layer a learned token and the newest `recent` merged
    events ask all merged events; further layers are self-attention among the
    learned token and the recent ones, an event seeing itself and older ones,
    the token all of them. Cost grows with `recent * L / K`, not with L².

    Args:
        recent: int. Number of merged events that ask. Defaults to 32.
        merge: int. K. Defaults to 1, no merging.
        num_layers: int. Defaults to 2.
        num_heads: int. Defaults to 4.
        expansion: float. Defaults to 2.

    Call arguments:
        events: float tensor (batch, L, W), newest first.
        present: (batch, L), 0 or `False` at padding.

    Returns:
        The learned token and the recent events (batch, 1 + recent, W), and
        their present, in which the token is always there; fewer where L / K is.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events, mask = np.ones((2, 100, 16), "float32"), np.arange(100) < np.array([[70], [0]])
    encoded, mask = rk.layers.LongerEncoder(recent=8, merge=4)(events, mask)
    print(encoded.shape)        # (2, 9, 16)
    ```

    References:
        - LONGER, arXiv 2505.04421 (as its readers report it). Its global tokens
          for user and candidate are left to what reads the output, so that
          events do not depend on the candidate.
    """

    def __init__(
        self,
        recent: int = 32,
        merge: int = 1,
        num_layers: int = 2,
        num_heads: int = 4,
        expansion: float = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if recent < 1 or merge < 1:
            raise ValueError(
                f"`recent` and `merge` must be positive. Received: recent={recent}, merge={merge}."
            )
        self.recent = recent
        self.merge = merge
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.expansion = expansion

    def _counts(self, length: int) -> tuple[int, int]:
        """Merged events, and those of them that ask."""
        merged = -(-length // self.merge)
        return merged, min(self.recent, merged)

    def build(self, events_shape: Any, present_shape: Any = None) -> None:
        _, length, width = events_shape
        merged, recent = self._counts(length)
        policy = self.dtype_policy
        if self.merge > 1:
            self.merging = keras.layers.Dense(width, name="merging", dtype=policy)
            self.merging.build((None, merged, width * self.merge))
        self.token = self.add_weight(name="token", shape=(1, width), initializer="uniform")
        self.position = self.add_weight(
            name="position", shape=(merged, width), initializer="uniform"
        )
        self.layers = []
        for number in range(1, self.num_layers + 1):
            layer = EncoderLayer(
                self.num_heads, self.expansion, name=f"layer_{number}", dtype=policy
            )
            shape = (None, 1 + recent, width)
            layer.build(shape, (None, merged, width) if number == 1 else shape)
            self.layers.append(layer)
        of_merging = 2 * merged * self.merge * width**2 if self.merge > 1 else 0
        self.flops = of_merging + sum(layer.flops for layer in self.layers)
        self.built = True

    def call(self, events: Any, present: Any) -> Any:
        x, there = attend.without_padding(events, present), attend.real(present)
        width, rest = events.shape[2], self.merge - 1
        merged = (attend.length_of(events) + rest) // self.merge
        if self.merge > 1:
            whole = merged * self.merge
            x = ops.pad(x, [[0, 0], [0, rest], [0, 0]])[:, :whole]
            x = self.merging(ops.reshape(x, (-1, merged, self.merge * width)))
            there = ops.pad(there, [[0, 0], [0, rest]], constant_values=False)[:, :whole]
            there = ops.any(ops.reshape(there, (-1, merged, self.merge)), axis=2)
        x = x + ops.cast(self.position[:merged], x.dtype)
        token = ops.broadcast_to(ops.cast(self.token, x.dtype), (ops.shape(x)[0], 1, width))
        asking = ops.concatenate([token, x[:, : self.recent]], axis=1)
        always = ops.ones_like(there[:, :1])
        kept = ops.concatenate([always, there[:, : self.recent]], axis=1)
        asking = self.layers[0](asking, x, there)
        visible = older_or_same(attend.length_of(asking))
        for layer in self.layers[1:]:
            asking = layer(asking, asking, kept, visible)
        return attend.without_padding(asking, kept), kept

    def compute_output_spec(self, events: Any, present: Any) -> Any:
        batch, length, width = events.shape
        recent = self._counts(length)[1]
        return (
            keras.KerasTensor((batch, 1 + recent, width), self.compute_dtype),
            keras.KerasTensor((batch, 1 + recent), "bool"),
        )
