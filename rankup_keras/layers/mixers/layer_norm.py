"""Layer normalization."""

from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable


@serializable
class LayerNorm(keras.layers.LayerNormalization):
    """Keras's `LayerNormalization` over the last axis: `(x - mean) / sqrt(var + epsilon) * g + b`.

    Same weights, fewer passes over memory.

    Args:
        epsilon: float added to the variance. Defaults to 1e-6.
        **kwargs: as in Keras's layers.

    Call arguments:
        inputs: float tensor (batch, T, D), or of any rank.
        training: bool.

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    print(np.mean(rk.layers.LayerNorm()(tokens), axis=-1))      # all 0
    ```

    References:
        - Ba et al., arXiv 1607.06450.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(axis=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = keras.ops.cast(inputs, self.compute_dtype)
        return kernels.layer_norm(x, self.gamma, self.beta, self.epsilon, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("axis")
        return config
