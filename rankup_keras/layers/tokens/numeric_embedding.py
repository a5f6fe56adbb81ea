"""Numeric columns as fields."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class NumericEmbedding(ConfiguredLayer):
    """Gives every numeric column a vector, so that it can stand beside embedded fields.

    `e_n = x_n v_n + b_n`, with `v_n` and `b_n` learned.

    Args:
        dim: int. Width of a column's vector.
        initializer: initializer of `v`. Defaults to uniform in ±0.05, as the
            embedding tables.

    Call arguments:
        x: float tensor (batch, N).

    Returns:
        Tensor (batch, N * dim), the columns' vectors side by side.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    prices_and_ages = np.array([[0.5, -1.0], [1.5, 0.0]], "float32")
    print(rk.layers.NumericEmbedding(8)(prices_and_ages).shape)     # (2, 16)
    ```
    """

    def __init__(self, dim: int, initializer: Any = "uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = (input_shape[-1], self.dim)
        self.vectors = self.add_weight(name="vectors", shape=shape, initializer=self.initializer)
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")
        self.built = True

    def call(self, x: Any) -> Any:
        embedded = ops.expand_dims(x, -1) * self.vectors + self.bias
        return ops.reshape(embedded, (-1, x.shape[-1] * self.dim))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], int(input_shape[-1] or 0) * self.dim)
