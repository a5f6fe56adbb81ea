"""The token matrix after the last block → what the towers read."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rankup_keras._registry import serializable

POOLINGS = ("mean", "flatten")


@serializable
class TokenPooling(keras.layers.Layer):
    """Pools the tokens that all tasks share, and hands the task tokens on.

    Args:
        pooling: `"mean"` over tokens (default, RankMixer) or `"flatten"`.
        num_task_tokens: int. How many of the last tokens are task tokens,
            which are not pooled. Defaults to 0.
        tokens_first: bool. Whether the input is `(T, B, D)`.

    Call arguments:
        tokens: float tensor (batch, T, D), or (T, batch, D) with `tokens_first`.

    Returns:
        `pooled` (batch, D), or (batch, (T - K) D) when flattened; with task
        tokens a tuple `(pooled, task_tokens)`, the latter (K, batch, D).
    """

    def __init__(
        self,
        pooling: str = "mean",
        num_task_tokens: int = 0,
        tokens_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}.")
        self.pooling = pooling
        self.num_task_tokens = num_task_tokens
        self.tokens_first = tokens_first

    def _shared(self, shape: Sequence[int | None]) -> int:
        tokens = shape[0 if self.tokens_first else 1]
        shared = int(tokens or 0) - self.num_task_tokens
        if shared < 1:
            raise ValueError(
                "There must be at least one token beside the task tokens to pool. Received: "
                f"num_task_tokens={self.num_task_tokens}, shape={tuple(shape)}."
            )
        return shared

    def call(self, tokens: Any) -> Any:
        shared = self._shared(tokens.shape)
        axis = 0 if self.tokens_first else 1
        common, own = tokens, None
        if self.num_task_tokens:
            # One concatenation is its gradient, where two slices have two tensors of zeros.
            common, own = ops.split(tokens, [shared], axis=axis)
        if self.pooling == "mean":
            pooled = _mean(common, axis)
        else:
            common = ops.transpose(common, (1, 0, 2)) if self.tokens_first else common
            pooled = ops.reshape(common, (-1, shared * tokens.shape[2]))
        if own is None:
            return pooled
        return pooled, own if self.tokens_first else ops.transpose(own, (1, 0, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        shared = self._shared(input_shape)
        batch, width = input_shape[1 if self.tokens_first else 0], int(input_shape[2] or 0)
        pooled = (batch, width if self.pooling == "mean" else shared * width)
        if not self.num_task_tokens:
            return pooled
        return pooled, (self.num_task_tokens, batch, width)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            pooling=self.pooling,
            num_task_tokens=self.num_task_tokens,
            tokens_first=self.tokens_first,
        )
        return config


def _mean(x: Any, axis: int) -> Any:
    """The mean over an axis, whose gradient divides before it repeats."""
    count, shape = x.shape[axis], tf.shape(x)

    @tf.custom_gradient
    def mean(x: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            return tf.broadcast_to(tf.expand_dims(upstream / count, axis), shape)

        return ops.mean(x, axis=axis), gradient

    return mean(x)
