"""One dense layer a token, as one batched product."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.tokens.per_token_initializer import PerTokenInitializer


@serializable
class PerTokenDense(keras.layers.Layer):
    """Applies to every token a dense layer of its own: `y_t = f(x_t W_t + b_t)`.

    Args:
        units: int. Width of the output.
        activation: activation function. Defaults to none.
        use_bias: bool. Defaults to `True`.
        kernel_initializer: initializer of one token's kernel; see
            `PerTokenInitializer`. Defaults to `"glorot_uniform"`.
        bias_initializer: defaults to `"zeros"`.
        kernel_regularizer: regularizer of the kernels. Defaults to none.
        tokens_first: bool. Whether tokens are the first axis, `(T, B, I)`.
            Defaults to `False`, `(B, T, I)`.
        fan_in: list of T ints, see `PerTokenInitializer`.
        parts: int, see `PerTokenInitializer`.
        kernel_scale: float factor on the initial kernel. Defaults to 1.

    Call arguments:
        x: float tensor (batch, T, I), or (T, batch, I) with `tokens_first`.

    Returns:
        Tensor of the same layout with `units` in the last axis.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        tokens_first: bool = False,
        fan_in: Sequence[int] | None = None,
        parts: int = 1,
        kernel_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}.")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if isinstance(self.kernel_initializer, keras.initializers.Initializer):
            # A copy, whose seed is its own unless the user gave one: an initializer draws the
            # same numbers at each call, and layers that share it would start correlated.
            config = self.kernel_initializer.get_config()
            self.kernel_initializer = type(self.kernel_initializer).from_config(config)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.tokens_first = tokens_first
        self.fan_in = None if fan_in is None else list(fan_in)
        self.parts = parts
        self.kernel_scale = kernel_scale

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) != 3:
            raise ValueError(
                "A per-token layer takes tensors of three axes, (batch, tokens, width). "
                f"Received: shape={tuple(input_shape)}."
            )
        tokens = input_shape[0 if self.tokens_first else 1]
        width = input_shape[2]
        if tokens is None or width is None:
            raise ValueError(
                "The number of tokens and their width must be known to make one kernel a token. "
                f"Received: shape={tuple(input_shape)}, tokens_first={self.tokens_first}."
            )
        if self.fan_in is not None and len(self.fan_in) != tokens:
            raise ValueError(
                f"`fan_in` must have one entry a token. Received {len(self.fan_in)} entries for "
                f"{tokens} tokens."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(tokens, width, self.units),
            initializer=PerTokenInitializer(
                self.kernel_initializer, self.fan_in, self.parts, self.kernel_scale
            ),
            regularizer=self.kernel_regularizer,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(tokens, 1, self.units), initializer=self.bias_initializer
            )
        self.built = True

    def call(self, x: Any) -> Any:
        if not self.tokens_first:
            x = ops.transpose(x, (1, 0, 2))
        y = ops.matmul(x, self.kernel)
        if self.use_bias:
            y = y + self.bias
        y = self.activation(y)
        return y if self.tokens_first else ops.transpose(y, (1, 0, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:2], self.units)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            units=self.units,
            activation=keras.activations.serialize(self.activation),
            use_bias=self.use_bias,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
            bias_initializer=keras.initializers.serialize(self.bias_initializer),
            kernel_regularizer=keras.regularizers.serialize(self.kernel_regularizer),
            tokens_first=self.tokens_first,
            fan_in=self.fan_in,
            parts=self.parts,
            kernel_scale=self.kernel_scale,
        )
        return config
