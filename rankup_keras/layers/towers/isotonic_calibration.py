"""Calibration by a rising curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class IsotonicCalibration(ConfiguredLayer):
    """Calibrates probabilities by the straight lines between points of a rising curve.

    Args:
        scores: list of floats, rising. The points' places.
        rates: list of floats, not falling. Their values; beyond the first and the last point the
            curve is flat.

    Call arguments:
        probabilities: float tensor of any shape.

    Returns:
        Probabilities of the same shape.

    Raises:
        ValueError: points that are not such a curve.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    curve = rk.layers.IsotonicCalibration([0.1, 0.5], [0.0, 0.2])
    print(curve(np.array([0.05, 0.3, 0.9])))  # [0, 0.1, 0.2]
    ```

    References:
        - Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
          estimates", KDD 2002, section 4.
    """

    def __init__(self, scores: Sequence[float], rates: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scores, self.rates = [[float(v) for v in values] for values in (scores, rates)]
        rising = np.all(np.diff(self.scores) > 0) and np.all(np.diff(self.rates) >= 0)
        if not self.scores or len(self.scores) != len(self.rates) or not rising:
            raise ValueError(
                "`scores` must rise and `rates` must not fall, one for each score. "
                f"Received: scores={self.scores!r:.80}, rates={self.rates!r:.80}."
            )
        self.built = True

    def call(self, probabilities: Any) -> Any:
        x, y = (np.array(values, np.float32) for values in (self.scores, self.rates))
        if len(x) == 1:
            return ops.full_like(probabilities, y[0])
        p = ops.clip(ops.cast(probabilities, "float32"), x[0], x[-1])
        left = ops.clip(ops.searchsorted(x[1:-1], ops.reshape(p, (-1,)), side="right"), 0, len(x))
        left = ops.reshape(left, ops.shape(p))
        slope = (np.diff(self.rates) / np.diff(self.scores)).astype(np.float32)
        rate = ops.take(y[:-1], left) + ops.take(slope, left) * (p - ops.take(x[:-1], left))
        return ops.cast(rate, probabilities.dtype)
