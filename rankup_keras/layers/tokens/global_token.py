"""One token that sees every field."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class GlobalToken(ConfiguredLayer):
    """Makes one token of all inputs through a small network: `g = MLP(x)`.

    RankUp's global token reads all fields' embeddings from their own
    table set; its dense token reads the numeric columns in the same way.

    Args:
        token_dim: int. Width D of the token.
        hidden_units: list of ints, widths of hidden layers. Defaults to none,
            a linear projection.
        activation: activation of hidden layers. Defaults to `"relu"`.
        kernel_initializer: defaults to `"glorot_uniform"`.
        kernel_regularizer: regularizer of the kernels. Defaults to none.

    Call arguments:
        x: float tensor (batch, width).

    Returns:
        Tensor (batch, 1, token_dim).

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    embeddings = np.random.normal(size=(2, 6 * 8)).astype("float32")
    print(rk.layers.GlobalToken(16, hidden_units=[32])(embeddings).shape)   # (2, 1, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, global token.
    """

    def __init__(
        self,
        token_dim: int,
        hidden_units: Sequence[int] = (),
        activation: Any = "relu",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token_dim = token_dim
        self.hidden_units = [int(units) for units in hidden_units]
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.dense_layers: list[Any] = []
        shape = tuple(input_shape)
        for units in [*self.hidden_units, self.token_dim]:
            layer = keras.layers.Dense(
                units,
                activation=self.activation
                if len(self.dense_layers) < len(self.hidden_units)
                else None,
                kernel_initializer=self.kernel_initializer.clone(),
                kernel_regularizer=self.kernel_regularizer,
                dtype=self.dtype_policy,
            )
            layer.build(shape)
            self.dense_layers.append(layer)
            shape = (*shape[:-1], units)
        self.built = True

    def call(self, x: Any) -> Any:
        for layer in self.dense_layers:
            x = layer(x)
        return ops.expand_dims(x, 1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], 1, self.token_dim)
