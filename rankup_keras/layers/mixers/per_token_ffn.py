"""RankMixer's per-token feed-forward network."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.kernels.elementwise import (
    add_bias,
    by_token,
    folds,
    fuses,
    gated_hidden,
    is_plain,
    one_kernel,
    plain_product,
)
from rankup_keras.kernels.tiles import Tiling
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class PerTokenFFN(keras.layers.Layer):
    """A feed-forward network of its own for every token.

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
        kernel_initializer: initializer of one token's kernels.
        kernel_regularizer: regularizer of the kernels. Defaults to none.
        tokens_first: bool. Whether tokens are the first axis.

    Call arguments:
        x: float tensor (batch, T, D), or (T, batch, D) with `tokens_first`.
        training: bool, whether to apply dropout.

    Returns:
        Tensor of the same shape.

    References:
        - RankMixer, arXiv 2507.15551, section 3.3.2 (per-token FFN).
    """

    gated = False

    def __init__(
        self,
        expansion: float = 4,
        activation: Any = "gelu",
        use_bias: bool = True,
        down_scale: float = 1.0,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        tokens_first: bool = False,
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
        self.tokens_first = tokens_first

    def hidden_dim(self, token_dim: int) -> int:
        """Width of the hidden layer for tokens of width `token_dim`."""
        return max(1, round(self.expansion * token_dim))

    def _dense(self, units: int, parts: int, scale: float, name: str) -> PerTokenDense:
        return PerTokenDense(
            units,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            tokens_first=True,
            parts=parts,
            kernel_scale=scale,
            name=name,
            dtype=self.dtype_policy,
        )

    def _tokens(self, input_shape: Sequence[int | None]) -> int:
        tokens = input_shape[0 if self.tokens_first else 1]
        if tokens is None:
            raise ValueError(
                "The number of tokens must be known to make one network a token. "
                f"Received: shape={tuple(input_shape)}, tokens_first={self.tokens_first}."
            )
        return tokens

    def build(self, input_shape: Sequence[int | None]) -> None:
        dim = int(input_shape[-1] or 0)
        hidden, parts = self.hidden_dim(dim), 2 if self.gated else 1
        self.up = self._dense(hidden * parts, parts, 1.0, "up")
        self.down = self._dense(dim, 1, self.down_scale, "down")
        tokens = self._tokens(input_shape)
        self.up.build((tokens, None, dim))
        self.down.build((tokens, None, hidden))
        self.hidden_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.built = True

    def hidden(self, product: Any) -> Any:
        """The hidden layer from the product, bias included, of the first kernel."""
        return self.activation(product)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not self.tokens_first:
            x = ops.transpose(x, (1, 0, 2))
        y = self._network(x, training)
        return y if self.tokens_first else ops.transpose(y, (1, 0, 2))

    def _network(self, x: Any, training: bool | None) -> Any:
        """The network on tokens-first `x` (T, batch, D)."""
        if training and fuses(self.activation):
            product = ops.matmul(x, self.up.kernel)
            up_bias, down_bias = self._biases()
            hidden = one_kernel(gated_hidden, self.activation, self.gated)(product, up_bias)
            y = ops.matmul(self.hidden_dropout(hidden, training=training), self.down.kernel)
            return y if down_bias is None else add_bias(y, down_bias)
        if not training and folds():
            return by_token(self._of_token, x, *self._weights())
        return self.down(self.hidden_dropout(self.hidden(self.up(x)), training=training))

    def added_to(self, base: Any, x: Any) -> Any:
        """`base + layer(x)`, both (T, batch, D), the sum folded into a product.

        In a graph for inference on a CPU in bfloat16, where sums by themselves are slow; elsewhere,
        and in a subclass that computes something else, `None`.
        """
        kind = type(self)
        own = kind.call is PerTokenFFN.call and kind._network is PerTokenFFN._network
        if not (own and self.tokens_first and self.compute_dtype == "bfloat16" and folds()):
            return None

        def of_token(x: Any, base: Any, *weights: Any) -> Any:
            # As `AddN`, which does not broadcast: an `Add` of an unknown batch might, and stays.
            return tf.add_n([self._of_token(x, *weights), base])

        return by_token(of_token, x, base, *self._weights())

    def _biases(self) -> list[Any]:
        if not self.use_bias:
            return [None, None]
        return [tf.convert_to_tensor(dense.bias) for dense in (self.up, self.down)]

    def _weights(self) -> list[Any]:
        up, down = self.up, self.down
        if not self.use_bias:
            return [up.kernel, None, down.kernel, None]
        return [up.kernel, up.bias, down.kernel, down.bias]

    def tiling(self, shape: Sequence[int | None]) -> Tiling | None:
        """Tiles of one token; `None` with dropout, which would differ when computed again."""
        if self.dropout or not is_plain(self.activation):
            return None

        def of_tile(x: Any, *weights: Any) -> Any:
            own = iter(weights)
            token = [None if weight is None else next(own)[0] for weight in self._weights()]
            return self._of_token(x[0], *token)[None]

        weights = [weight for weight in self._weights() if weight is not None]
        return Tiling(of_tile, 1, self.up.units, weights)

    def _of_token(self, x: Any, up: Any, up_bias: Any, down: Any, down_bias: Any) -> Any:
        return plain_product(self.hidden(plain_product(x, up, up_bias)), down, down_bias)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            expansion=self.expansion,
            activation=keras.activations.serialize(self.activation),
            use_bias=self.use_bias,
            down_scale=self.down_scale,
            dropout=self.dropout,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
            kernel_regularizer=keras.regularizers.serialize(self.kernel_regularizer),
            tokens_first=self.tokens_first,
        )
        return config
