"""All that is known of an event as one vector."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from rankup_keras.layers.sequences.attend import without_padding


@serializable
class EventEmbedding(ConfiguredLayer):
    """Makes one vector of each event from all its columns: `GELU(LN([c_1, ..., c_n] W + b))`.

    Args:
        units: int. Width of the vector.
        activation: defaults to `"gelu"`.
        kernel_initializer: defaults to `"glorot_uniform"`.

    Call arguments:
        columns: list of float tensors (batch, L, any width): embeddings of item,
            side ids and time gap, numbers.
        present: (batch, L), 0 or `False` at padding.

    Returns:
        Tensor (batch, L, units), zeros at padding.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    items, times = np.ones((2, 5, 16), "float32"), np.ones((2, 5, 4), "float32")
    mask = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    print(rk.layers.EventEmbedding(32)([items, times], mask).shape)     # (2, 5, 32)
    ```

    References:
        - HyFormer's baseline in KDD Cup 2026 (side embeddings concatenated,
          linear, norm, GELU); it adds the time gap's embedding afterwards, here
          it is one of the columns.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "gelu",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}.")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, columns_shape: Any, present_shape: Any = None) -> None:
        width = sum(int(shape[-1]) for shape in columns_shape)
        self.dense = keras.layers.Dense(
            self.units,
            kernel_initializer=self.kernel_initializer,
            name="dense",
            dtype=self.dtype_policy,
        )
        self.norm = LayerNorm(name="norm", dtype=self.dtype_policy)
        self.dense.build((None, None, width))
        self.norm.build((None, None, self.units))
        self.flops = 2 * width * self.units * (columns_shape[0][1] or 0)
        self.built = True

    def call(self, columns: Sequence[Any], present: Any) -> Any:
        x = columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=-1)
        x = self.activation(self.norm(self.dense(without_padding(x, present))))
        return without_padding(x, present)

    def compute_output_shape(
        self, columns_shape: Any, present_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (*columns_shape[0][:2], self.units)
