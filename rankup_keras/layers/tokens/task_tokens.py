"""Learned tokens, one per task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class TaskTokens(ConfiguredLayer):
    """Appends one learned token per task, which passes through all blocks with the rest.

    Args:
        num_tasks: int. Number of tasks K.
        initializer: initializer of the tokens. Defaults to a normal
            distribution of standard deviation 0.02.

    Call arguments:
        tokens: float tensor (batch, T, D).

    Returns:
        Tensor (batch, T + K, D), the task tokens last.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 6, 16)).astype("float32")
    print(rk.layers.TaskTokens(num_tasks=2)(tokens).shape)      # (2, 8, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, task-specific tokens.
    """

    def __init__(self, num_tasks: int, initializer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_tasks < 1:
            raise ValueError(f"`num_tasks` must be positive. Received: num_tasks={num_tasks}.")
        self.num_tasks = num_tasks
        self.initializer = keras.initializers.get(
            initializer or keras.initializers.RandomNormal(stddev=0.02)
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.task_tokens = self.add_weight(
            name="task_tokens",
            shape=(self.num_tasks, input_shape[-1]),
            initializer=self.initializer,
        )
        self.built = True

    def call(self, tokens: Any) -> Any:
        shape = (ops.shape(tokens)[0], self.num_tasks, tokens.shape[-1])
        learned = ops.broadcast_to(ops.cast(self.task_tokens, tokens.dtype), shape)
        return ops.concatenate([tokens, learned], axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        tokens = input_shape[1]
        return (
            input_shape[0],
            None if tokens is None else tokens + self.num_tasks,
            input_shape[2],
        )
