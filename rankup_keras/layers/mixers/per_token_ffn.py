"""RankMixer's per-token feed-forward network."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class PerTokenFFN(ConfiguredLayer):
    """A separate feed-forward network for every token.

    `FFN_t(x_t) = f(x_t W1_t + b1_t) W2_t + b2_t`, with `W1_t` (D, kD) and
    `W2_t` (kD, D). As many operations as one network shared by all tokens, and
    T times the parameters.

    Args:
        expansion: float. k, width of the hidden layer in widths of a token.
            Defaults to 4.
        activation: f. Defaults to `"gelu"` (exact).
        use_bias: bool. Defaults to `True`.
        down_scale: float. Factor on the initial `W2`; a small one (0.01 in
            TokenMixer-Large) keeps deep stacks near the identity at first.
            Defaults to 1.
        dropout: float. Dropout rate on the hidden layer. Defaults to 0.
        kernel_initializer: initializer of one token's kernels. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: regularizer of the kernels. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool, whether to apply dropout.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: T or D is unknown.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    network = rk.layers.PerTokenFFN(expansion=2)
    print(network(tokens).shape)                # (2, 4, 16)
    print(network.count_params())               # 4 * (16 * 32 + 32 + 32 * 16 + 16)
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.3.2 (per-token FFN).
    """

    gated = False
    # Each token by itself, from weights whose first axis is the tokens.
    token_wise = True

    def __init__(
        self,
        expansion: float = 4,
        activation: Any = "gelu",
        use_bias: bool = True,
        down_scale: float = 1.0,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not expansion > 0:
            raise ValueError(f"`expansion` must be positive. Received: expansion={expansion}.")
        self.expansion = expansion
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.down_scale = down_scale
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def hidden_dim(self, token_dim: int) -> int:
        """Width of the hidden layer for tokens of width `token_dim`."""
        return max(1, round(self.expansion * token_dim))

    def _dense(self, units: int, name: str, **settings: Any) -> PerTokenDense:
        return PerTokenDense(
            units,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            name=name,
            dtype=self.dtype_policy,
            **settings,
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        *lead, dim = input_shape
        hidden, parts = self.hidden_dim(int(dim or 0)), 2 if self.gated else 1
        self.up = self._dense(hidden * parts, "up", parts=parts)
        self.down = self._dense(int(dim or 0), "down", kernel_scale=self.down_scale)
        self.up.build((*lead, dim))
        self.down.build((*lead, hidden))
        self.hidden_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        up, down = self.up.affine, self.down.affine
        return kernels.per_token_ffn(
            x, up, down, self.activation, self.gated, self.hidden_dropout, training
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
