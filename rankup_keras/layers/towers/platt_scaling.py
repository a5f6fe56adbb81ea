"""Calibration by two numbers."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer

EPSILON = 1e-7


@serializable
class PlattScaling(ConfiguredLayer):
    """Calibrates probabilities by `σ(slope · logit(p) + offset)`.

    Args:
        slope: float. Below 1 for a model that is too sure. Defaults to 1.
        offset: float. Defaults to 0.

    Call arguments:
        probabilities: float tensor of any shape.

    Returns:
        Probabilities of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    # Every tenth negative was kept: p / (p + (1 - p) / 0.1).
    print(rk.layers.PlattScaling(offset=np.log(0.1))(np.array([0.5])))  # [0.0909]
    ```

    References:
        - Platt, "Probabilistic outputs for support vector machines", 1999, equation 1.
    """

    def __init__(self, slope: float = 1.0, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slope, self.offset = float(slope), float(offset)
        self.built = True

    def call(self, probabilities: Any) -> Any:
        p = ops.clip(probabilities, EPSILON, 1 - EPSILON)
        return keras.activations.sigmoid(self.slope * ops.log(p / (1 - p)) + self.offset)
