"""One dense layer per token, as one batched product."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_initializer import PerTokenInitializer


@serializable
class PerTokenDense(ConfiguredLayer):
    """Applies a separate dense layer to every token: `y_t = f(x_t W_t + b_t)`.

    Args:
        units: int. Width of the output.
        activation: activation function. Defaults to none.
        use_bias: bool. Defaults to `True`.
        kernel_initializer: initializer of one token's kernel; see
            `PerTokenInitializer`. Defaults to `"glorot_uniform"`.
        bias_initializer: defaults to `"zeros"`.
        kernel_regularizer: regularizer of the kernels. Defaults to none.
        fan_in: list of T ints, see `PerTokenInitializer`.
        parts: int, see `PerTokenInitializer`.
        kernel_scale: float factor on the initial kernel. Defaults to 1.

    Call arguments:
        x: float tensor (batch, T, I).

    Returns:
        Tensor (batch, T, units).

    Raises:
        ValueError: T or I is unknown, or `fan_in` has another length than T.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    dense = rk.layers.PerTokenDense(8)
    print(dense(tokens).shape, dense.kernel.shape)      # (2, 4, 8), (4, 16, 8)
    ```
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
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
            # Its seed is its own, unless the user gave one: an initializer draws the same numbers
            # at each call, and layers that share it would start correlated.
            self.kernel_initializer = self.kernel_initializer.clone()
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.fan_in = None if fan_in is None else list(fan_in)
        self.parts = parts
        self.kernel_scale = kernel_scale

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) != 3:
            raise ValueError(
                "A per-token layer takes tensors of three axes, (batch, tokens, width). "
                f"Received: shape={tuple(input_shape)}."
            )
        _, tokens, width = input_shape
        if tokens is None or width is None:
            raise ValueError(
                "The number of tokens and their width must be known to make one kernel per token. "
                f"Received: shape={tuple(input_shape)}."
            )
        if self.fan_in is not None and len(self.fan_in) != tokens:
            raise ValueError(
                f"`fan_in` must have one entry per token. Received {len(self.fan_in)} entries for "
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

    @property
    def affine(self) -> tuple[Any, Any]:
        """The kernel (T, I, units), and the bias (T, 1, units) or `None`."""
        return self.kernel, self.bias if self.use_bias else None

    def call(self, x: Any) -> Any:
        return kernels.per_token_dense(x, self.affine, self.activation)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:2], self.units)
