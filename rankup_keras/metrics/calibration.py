"""Calibration."""

from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.metrics.sums import SumsMetric


@serializable
class Calibration(SumsMetric):
    """Sum of the predicted probabilities divided by the number of positives, `Σ p / Σ y`.

    What an auction pays follows from probabilities, not from their order, so
    they must be right on average: 1 is right, 1.1 promises a tenth too much.
    0 is returned while there is no positive.

    Args:
        name: defaults to `"calibration"`.
        dtype: defaults to Keras's float type.

    Example:

    ```python
    import rankup_keras as rk

    calibration = rk.metrics.Calibration()
    calibration.update_state([1, 0, 0, 1], [0.9, 0.3, 0.2, 1.0])
    print(float(calibration.result()))  # 1.2: a fifth too much
    ```
    """

    names = ("predicted", "positives")

    def __init__(self, name: str = "calibration", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def terms(self, y: Any, p: Any) -> tuple[Any, ...]:
        return p, y

    def result(self) -> Any:
        positives = self.sums["positives"]
        safe = ops.where(positives > 0, positives, 1.0)
        value = ops.where(positives > 0, self.sums["predicted"] / safe, 0.0)
        return ops.cast(value, self.dtype)
