"""Root-mean-square normalization."""

from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable


@serializable
class RMSNorm(keras.layers.RMSNormalization):
    """Keras's `RMSNormalization` over the last axis: `x / sqrt(mean(x^2) + epsilon) * scale`.

    Args:
        epsilon: float added to the mean of squares. Defaults to 1e-6.
        **kwargs: as in Keras's layers.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    print(np.mean(np.square(rk.layers.RMSNorm()(tokens)), axis=-1))     # all 1
    ```

    References:
        - Zhang and Sennrich, arXiv 1910.07467.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(axis=-1, epsilon=epsilon, **kwargs)

    def call(self, x: Any) -> Any:
        return kernels.row_wise(super().call, x)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("axis")
        return config
