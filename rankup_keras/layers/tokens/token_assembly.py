"""The token matrix that the mixer stack reads."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable


@serializable
class TokenAssembly(keras.layers.Layer):
    """Puts token families one after the other.

    Call arguments:
        families: list of float tensors (batch, T_i, D).

    Returns:
        Tensor (batch, sum of T_i, D).

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    sparse, task = np.ones((2, 6, 16), "float32"), np.ones((2, 2, 16), "float32")
    print(rk.layers.TokenAssembly()([sparse, task]).shape)      # (2, 8, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, input tokens of the first block.
    """

    def call(self, families: Sequence[Any]) -> Any:
        return kernels.concatenate_tokens(families)

    def get_config(self) -> dict[str, Any]:
        # Keras makes a config by itself only where no argument is an object, as a policy is.
        return super().get_config()

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        batch, _, dim = input_shape[0]
        return (batch, sum(shape[1] for shape in input_shape), dim)
