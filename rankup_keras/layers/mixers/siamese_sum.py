"""What layers read of SiameseNorm's two streams."""

from typing import Any

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.layer_norm import LayerNorm


@serializable
class SiameseSum(ConfiguredLayer):
    """`x + Norm(y)` of the two streams, see `SiameseResidual`.

    Args:
        epsilon: float added to the variance. Defaults to 1e-6.

    Call arguments:
        x: float tensor (batch, T, D), the normalized stream.
        y: tensor of the same shape, the other stream.

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    print(rk.layers.SiameseSum()(tokens, tokens).shape)     # (2, 4, 16)
    ```

    References:
        - SiameseNorm, arXiv 2602.08064.
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.norm = LayerNorm(epsilon, dtype=self.dtype_policy, name="norm")

    def build(self, x_shape: Any, y_shape: Any) -> None:
        self.norm.build(y_shape)
        self.built = True

    def call(self, x: Any, y: Any) -> Any:
        return kernels.add(x, self.norm(y))

    def compute_output_shape(self, x_shape: Any, y_shape: Any) -> tuple[int | None, ...]:
        return tuple(x_shape)
