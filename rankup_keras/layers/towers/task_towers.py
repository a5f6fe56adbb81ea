"""One tower per task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class TaskTowers(ConfiguredLayer):
    """Predicts every task's probability with a separate small network.

    `y_k = sigmoid(MLP_k(concat(task_token_k, pooled)))`, without the task
    token where there is none. All towers are one batched product per layer.

    Args:
        task_names: list of K names, the keys of the output.
        hidden_units: list of ints, widths of hidden layers. Defaults to none.
        activation: activation of hidden layers. Defaults to `"relu"`.
        dropout: float. Dropout rate on each tower's input. Defaults to 0.
        kernel_regularizer: regularizer of the kernels. Defaults to none.

    Call arguments:
        pooled: float tensor (batch, width), what all tasks share.
        task_tokens: float tensor (batch, K, D), or `None`.
        training: bool.

    Returns:
        Dict from task name to float32 tensor (batch, 1) of probabilities.

    Raises:
        ValueError: no task names, or one of them twice.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    pooled = np.random.normal(size=(2, 16)).astype("float32")
    print(rk.layers.TaskTowers(["click", "buy"], hidden_units=[8])(pooled)["buy"].shape)    # (2, 1)
    ```

    References:
        - RankMixer, arXiv 2507.15551 (heads on the mean of tokens).
        - RankUp, arXiv 2604.17878 (task tokens).
    """

    def __init__(
        self,
        task_names: Sequence[str],
        hidden_units: Sequence[int] = (),
        activation: Any = "relu",
        dropout: float = 0.0,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task_names = list(task_names)
        if not self.task_names or len(set(self.task_names)) < len(self.task_names):
            raise ValueError(
                f"`task_names` must be different names, at least one. Received: {self.task_names}."
            )
        self.hidden_units = [int(units) for units in hidden_units]
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, pooled_shape: Any, task_tokens_shape: Any = None) -> None:
        width = int(pooled_shape[-1])
        if task_tokens_shape is not None:
            width += int(task_tokens_shape[-1])
        self.dense_layers: list[Any] = []
        for units in [*self.hidden_units, 1]:
            last = len(self.dense_layers) == len(self.hidden_units)
            layer = PerTokenDense(
                units,
                activation=None if last else self.activation,
                kernel_regularizer=self.kernel_regularizer,
                # Logits in float32: bfloat16 has three digits, too few for a probability.
                dtype=self.variable_dtype if last else self.dtype_policy,
            )
            layer.build((None, len(self.task_names), width))
            self.dense_layers.append(layer)
            width = units
        self.input_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.built = True

    def call(self, pooled: Any, task_tokens: Any = None, training: bool | None = None) -> Any:
        x = ops.tile(ops.expand_dims(pooled, 1), (1, len(self.task_names), 1))
        if task_tokens is not None:
            x = ops.concatenate([task_tokens, x], axis=-1)
        x = self.input_dropout(x)
        for layer in self.dense_layers:
            x = layer(x)
        logits = ops.cast(x, "float32")
        return {
            name: keras.activations.sigmoid(logits[:, index])
            for index, name in enumerate(self.task_names)
        }

    def compute_output_shape(self, pooled_shape: Any, task_tokens_shape: Any = None) -> Any:
        return dict.fromkeys(self.task_names, (pooled_shape[0], 1))

    def compute_output_spec(
        self, pooled: Any, task_tokens: Any = None, training: bool | None = None
    ) -> Any:
        # Named, so that loss and metrics of a task are found by it; float32 whatever the policy.
        return {
            name: keras.KerasTensor((pooled.shape[0], 1), dtype="float32", name=name)
            for name in self.task_names
        }
