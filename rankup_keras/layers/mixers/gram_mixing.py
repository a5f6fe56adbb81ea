"""Zenith's fusion of tokens without a softmax."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class GramMixing(ConfiguredLayer):
    """Tokens mixed by their own inner products, `Y = (X X^T / D) X W`.

    Attention whose queries, keys and values are the tokens themselves and whose
    scores have no softmax: it is of third degree in X, so it wants normalized
    tokens, and any number of them. One `W` (D, D) for all tokens.

    The paper cuts the product into new tokens, and adds an MLP of X; how many
    tokens and which MLP it does not say. Here their number stays, so that the
    block's residual connection takes the MLP's place. The division by D, also
    ours, keeps `Y` as large as X, whose inner products with themselves are D.

    Args:
        kernel_initializer: initializer of `W`. Defaults to `"glorot_uniform"`.
        kernel_regularizer: regularizer of `W`. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 5, 16)).astype("float32")
    print(rk.layers.Residual(rk.layers.GramMixing())(tokens).shape)     # (2, 5, 16)
    ```

    References:
        - Zenith, arXiv 2601.21285 (the fusion of the model without `++`).
    """

    def __init__(
        self,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.num_tokens, width = int(input_shape[1] or 0), int(input_shape[2] or 0)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(width, width),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.built = True

    def call(self, x: Any) -> Any:
        width = self.kernel.shape[0]
        gram = ops.matmul(x, ops.transpose(x, (0, 2, 1))) / width
        mixed = ops.reshape(ops.matmul(gram, x), (-1, width))
        return ops.reshape(ops.matmul(mixed, self.kernel), (-1, self.num_tokens, width))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
