"""Tokens of crossed pretrained embeddings."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class CrossedTokens(ConfiguredLayer):
    """Makes one token of each pair of pretrained vectors: their product, projected.

    `x_p = (z_left * z_right) W_p + b_p`, with a learned bias `m_p` in place of
    the product's part where either vector is missing (all zeros), so that a
    missing vector is told from an orthogonal one.

    Args:
        token_dim: int. Width D of a token.
        kernel_initializer: initializer of one pair's projection.
        kernel_regularizer: regularizer of the projections. Defaults to none.

    Call arguments:
        left: list of P float tensors (batch, dim), such as users' vectors.
        right: list of P float tensors (batch, dim) of the same widths.

    Returns:
        Tensor (batch, P, token_dim).

    Raises:
        ValueError: the two vectors of a pair have different widths.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    user = np.random.normal(size=(2, 32)).astype("float32")
    item = np.random.normal(size=(2, 32)).astype("float32")
    print(rk.layers.CrossedTokens(16)([user], [item]).shape)    # (2, 1, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, crossed pretrained embedding token.
    """

    def __init__(
        self,
        token_dim: int,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token_dim = token_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, left_shape: Any, right_shape: Any = None) -> None:
        dims = [int(shape[-1]) for shape in left_shape]
        if right_shape is not None and [int(shape[-1]) for shape in right_shape] != dims:
            raise ValueError(
                "The two vectors of a crossed pair must be equally wide. "
                f"Received: left={left_shape}, right={right_shape}."
            )
        self._width = max(dims)
        self.projection = PerTokenDense(
            self.token_dim,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            fan_in=dims,
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build((None, len(dims), self._width))
        self.missing_bias = self.add_weight(
            name="missing_bias", shape=(len(dims), self.token_dim), initializer="zeros"
        )
        self.built = True

    def call(self, left: Sequence[Any], right: Sequence[Any]) -> Any:
        products, missing = [], []
        for a, b in zip(left, right, strict=True):
            products.append(ops.pad(a * b, [[0, 0], [0, self._width - a.shape[-1]]]))
            known = ops.logical_and(ops.any(a != 0, axis=-1), ops.any(b != 0, axis=-1))
            missing.append(ops.cast(ops.logical_not(known), self.compute_dtype))
        tokens = self.projection(ops.stack(products, axis=1))
        return tokens + ops.expand_dims(ops.stack(missing, axis=1), -1) * self.missing_bias

    def compute_output_shape(
        self, left_shape: Any, right_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (left_shape[0][0], len(left_shape), self.token_dim)
