"""A Transformer over events."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from rankup_keras.layers.sequences import attend
from rankup_keras.layers.sequences.event_attention import EventAttention


@serializable
class EncoderLayer(ConfiguredLayer):
    """One pre-norm layer: `x + MHA(LN x, LN y)`, then `x + FFN(LN x)` with GELU.

    Args:
        num_heads: int.
        expansion: float. Width of the hidden layer in widths of an event.

    Call arguments:
        x: (batch, N, W), what is encoded.
        events: (batch, L, W), what it looks at.
        present: (batch, L).
        visible: see `EventAttention`.
    """

    def __init__(self, num_heads: int = 4, expansion: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.expansion = expansion

    def build(self, x_shape: Any, events_shape: Any, present_shape: Any = None) -> None:
        policy, width = self.dtype_policy, x_shape[-1]
        self.norm = LayerNorm(name="norm", dtype=policy)
        self.attention = EventAttention(self.num_heads, name="attention", dtype=policy)
        self.ffn_norm = LayerNorm(name="ffn_norm", dtype=policy)
        hidden = max(1, round(self.expansion * width))
        self.up = keras.layers.Dense(hidden, "gelu", name="up", dtype=policy)
        self.down = keras.layers.Dense(width, name="down", dtype=policy)
        self.norm.build(x_shape)
        self.attention.build(x_shape, events_shape)
        self.ffn_norm.build(x_shape)
        self.up.build(x_shape)
        self.down.build((None, None, hidden))
        self.flops = self.attention.flops + 4 * (x_shape[1] or 0) * width * hidden
        self.built = True

    def call(self, x: Any, events: Any, present: Any, visible: Any = None) -> Any:
        x = x + self.attention(self.norm(x), self.norm(events), present, visible)
        return x + self.down(self.up(self.ffn_norm(x)))


@serializable
class TransformerEncoder(ConfiguredLayer):
    """Self-attention over events, pre-norm, padding left out.

    `x' = x + MHA(LN x)`, `x'' = x' + FFN(LN x')` in every layer, after learned
    positions, counted from the newest event, were added.

    Args:
        num_layers: int. Defaults to 1.
        num_heads: int. Defaults to 4; must divide the width of an event.
        expansion: float. Width of the networks' hidden layer in widths of an
            event. Defaults to 2.
        causal: bool. Whether an event sees itself and older ones alone. Defaults
            to `False`.
        positions: bool. Defaults to `True`.

    Call arguments:
        events: float tensor (batch, L, W), newest first.
        present: (batch, L), 0 or `False` at padding.

    Returns:
        Events (batch, L, W), zeros at padding, and their mask.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events, mask = np.ones((2, 6, 16), "float32"), np.arange(6) < np.array([[4], [0]])
    encoded, mask = rk.layers.TransformerEncoder()(events, mask)
    print(encoded.shape)        # (2, 6, 16)
    ```

    References:
        - Vaswani et al., arXiv 1706.03762; HyFormer, arXiv 2601.12681 (one of its
          encoders).
    """

    def __init__(
        self,
        num_layers: int = 1,
        num_heads: int = 4,
        expansion: float = 2,
        causal: bool = False,
        positions: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.expansion = expansion
        self.causal = causal
        self.positions = positions

    def build(self, events_shape: Any, present_shape: Any = None) -> None:
        if self.positions:
            shape = tuple(events_shape[1:])
            self.position = self.add_weight(name="position", shape=shape, initializer="uniform")
        self.layers = []
        for number in range(1, self.num_layers + 1):
            layer = EncoderLayer(
                self.num_heads, self.expansion, name=f"layer_{number}", dtype=self.dtype_policy
            )
            layer.build(events_shape, events_shape)
            self.layers.append(layer)
        self.flops = sum(layer.flops for layer in self.layers)
        self.built = True

    def call(self, events: Any, present: Any) -> Any:
        x = attend.without_padding(events, present)
        length = attend.length_of(x)
        x = x + ops.cast(self.position[:length], x.dtype) if self.positions else x
        visible = older_or_same(length) if self.causal else None
        for layer in self.layers:
            x = layer(x, x, present, visible)
        return attend.without_padding(x, present), present

    def compute_output_spec(self, events: Any, present: Any) -> Any:
        same = keras.KerasTensor(present.shape, present.dtype)
        return keras.KerasTensor(events.shape, self.compute_dtype), same


def older_or_same(length: int) -> Any:
    """(1, L, L), newest first: which events each event may see in causal attention."""
    places = ops.arange(length)
    return ops.expand_dims(ops.expand_dims(places, 1) <= places, 0)
