"""A root-mean-square normalization with a separate gain for every token."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class PerTokenRMSNorm(ConfiguredLayer):
    """`y_t = x_t / sqrt(mean(x_t^2) + epsilon) * gamma_t`, the mean over the width.

    Args:
        epsilon: float. Defaults to 1e-6.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    y = rk.layers.PerTokenRMSNorm()(tokens)
    print(np.mean(np.square(y), axis=-1))       # all 1
    ```

    References:
        - Zhang and Sennrich, arXiv 1910.07467; RankElastor's code, arXiv 2605.23191.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.gamma = self.add_weight(name="gamma", shape=input_shape[1:], initializer="ones")
        self.built = True

    def call(self, x: Any) -> Any:
        return kernels.scale_tokens(kernels.row_wise(self._normalized, x), self.gamma)

    def _normalized(self, x: Any) -> Any:
        # The mean of squares in float32: bfloat16 keeps eight bits of it.
        wide = ops.cast(x, "float32")
        scale = ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(wide * scale, x.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
