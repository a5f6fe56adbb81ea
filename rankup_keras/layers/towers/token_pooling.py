"""The token matrix after the last block → what the towers read."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer

POOLINGS = ("mean", "flatten")


@serializable
class TokenPooling(ConfiguredLayer):
    """Pools the tokens that all tasks share, and hands the task tokens on.

    Args:
        pooling: `"mean"` over tokens (default, RankMixer) or `"flatten"`.
        num_task_tokens: int. How many of the last tokens are task tokens,
            which are not pooled. Defaults to 0.

    Call arguments:
        tokens: float tensor (batch, T, D).

    Returns:
        `pooled` (batch, D), or (batch, (T - K) D) when flattened; with task
        tokens a tuple `(pooled, task_tokens)`, the latter (batch, K, D).

    Raises:
        ValueError: every token is a task token.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 8, 16)).astype("float32")
    pooled, task_tokens = rk.layers.TokenPooling(num_task_tokens=2)(tokens)
    print(pooled.shape, task_tokens.shape)      # (2, 16), (2, 2, 16)
    ```

    References:
        - RankMixer, arXiv 2507.15551 (mean over tokens); RankUp, arXiv 2604.17878 (task tokens).
    """

    def __init__(
        self,
        pooling: str = "mean",
        num_task_tokens: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}.")
        self.pooling = pooling
        self.num_task_tokens = num_task_tokens

    def _shared(self, shape: Sequence[int | None]) -> int:
        tokens = shape[1]
        shared = int(tokens or 0) - self.num_task_tokens
        if shared < 1:
            raise ValueError(
                "There must be at least one token beside the task tokens to pool. Received: "
                f"num_task_tokens={self.num_task_tokens}, shape={tuple(shape)}."
            )
        return shared

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        shared = self._shared(tokens.shape)
        own = None
        if self.num_task_tokens:
            tokens, own = kernels.split_tokens(tokens, shared)
        if self.pooling == "mean":
            pooled = kernels.mean_of_tokens(tokens, training)
        else:
            pooled = ops.reshape(tokens, (-1, shared * tokens.shape[2]))
        return pooled if own is None else (pooled, own)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Any:
        shared = self._shared(input_shape)
        batch, width = input_shape[0], int(input_shape[2] or 0)
        pooled = (batch, width if self.pooling == "mean" else shared * width)
        if not self.num_task_tokens:
            return pooled
        return pooled, (batch, self.num_task_tokens, width)
