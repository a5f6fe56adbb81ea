"""The token matrix that the mixer stack reads."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable


@serializable
class TokenAssembly(keras.layers.Layer):
    """Puts token families one after the other, and tokens first where the stack wants them so.

    A batched product per token needs no transpose when tokens are the first
    axis; the stack therefore works on `(T, B, D)`, and this is the one place
    where the axes are exchanged.

    Args:
        tokens_first: bool. Whether to return `(T, B, D)`. Defaults to `False`.

    Call arguments:
        families: list of float tensors (batch, T_i, D).

    Returns:
        Tensor (batch, sum of T_i, D), or (sum of T_i, batch, D).
    """

    def __init__(self, tokens_first: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tokens_first = tokens_first

    def call(self, families: Sequence[Any]) -> Any:
        tokens = ops.concatenate(families, axis=1) if len(families) > 1 else families[0]
        return ops.transpose(tokens, (1, 0, 2)) if self.tokens_first else tokens

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        batch, dim = input_shape[0][0], input_shape[0][2]
        tokens = sum(shape[1] for shape in input_shape)
        return (tokens, batch, dim) if self.tokens_first else (batch, tokens, dim)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(tokens_first=self.tokens_first)
        return config
