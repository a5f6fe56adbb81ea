"""A root-mean-square normalisation with a gain of its own for every token."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable


@serializable
class PerTokenRMSNorm(keras.layers.Layer):
    """`y_t = x_t / sqrt(mean(x_t^2) + epsilon) * gamma_t`, the mean over the width.

    Args:
        epsilon: float. Defaults to 1e-6.
        tokens_first: bool. Whether tokens are the first axis, `(T, B, D)`.

    Call arguments:
        x: float tensor (batch, T, D), or (T, batch, D) with `tokens_first`.

    Returns:
        Tensor of the same shape.
    """

    def __init__(self, epsilon: float = 1e-6, tokens_first: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.tokens_first = tokens_first

    def build(self, input_shape: Sequence[int | None]) -> None:
        tokens, width = input_shape[0 if self.tokens_first else 1], input_shape[2]
        shape = (tokens, 1, width) if self.tokens_first else (tokens, width)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.built = True

    def call(self, x: Any) -> Any:
        # The mean of squares in float32: bfloat16 keeps eight bits of it.
        wide = ops.cast(x, "float32")
        scale = ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(wide * scale, x.dtype) * self.gamma

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(epsilon=self.epsilon, tokens_first=self.tokens_first)
        return config
