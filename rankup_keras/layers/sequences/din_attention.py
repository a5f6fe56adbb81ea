"""DIN's attention of the candidate over events."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.sequences.attend import without_padding


@serializable
class DINAttention(ConfiguredLayer):
    """Sums events by weights that a network gives each beside the candidate, without softmax.

    `sum_t MLP([e_t, c, e_t - c, e_t * c]) e_t` over real events, c the candidate,
    projected to the width of an event where it has another.

    Args:
        units: ints, hidden layers of the network. Defaults to (64, 16).
        activation: of the hidden layers. Defaults to `"relu"`.

    Call arguments:
        events: float tensor (batch, L, W).
        present: (batch, L), 0 or `False` at padding.
        candidate: float tensor (batch, any width).

    Returns:
        Tensor (batch, W), zeros without events.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events, candidate = np.ones((2, 5, 16), "float32"), np.ones((2, 8), "float32")
    mask = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    print(rk.layers.DINAttention()(events, mask, candidate).shape)      # (2, 16)
    ```

    References:
        - Deep Interest Network, arXiv 1706.06978, equation 3 (the network also
          reads the difference, as its authors' code).
    """

    def __init__(
        self, units: Sequence[int] = (64, 16), activation: Any = "relu", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = list(units)
        self.activation = keras.activations.get(activation)

    def build(self, events_shape: Any, present_shape: Any, candidate_shape: Any) -> None:
        width = events_shape[-1]
        self.projection = None
        if candidate_shape[-1] != width:
            self.projection = keras.layers.Dense(width, name="projection", dtype=self.dtype_policy)
            self.projection.build(candidate_shape)
        self.layers, inner = [], 4 * width
        for number, units in enumerate([*self.units, 1]):
            activation = self.activation if number < len(self.units) else None
            layer = keras.layers.Dense(
                units, activation, name=f"dense_{number}", dtype=self.dtype_policy
            )
            layer.build((None, None, inner))
            self.layers.append(layer)
            inner = units
        self.flops = (events_shape[1] or 0) * sum(
            2 * math.prod(layer.kernel.shape) for layer in self.layers
        )
        self.built = True

    def call(self, events: Any, present: Any, candidate: Any) -> Any:
        events = without_padding(events, present)
        c = candidate if self.projection is None else self.projection(candidate)
        c = ops.broadcast_to(ops.expand_dims(c, 1), ops.shape(events))
        x = ops.concatenate([events, c, events - c, events * c], axis=-1)
        for layer in self.layers:
            x = layer(x)
        return ops.sum(x * events, axis=1)

    def compute_output_shape(
        self, events_shape: Any, present_shape: Any = None, candidate_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (events_shape[0], events_shape[2])
