"""Calibration."""

from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.metrics.sums import SumsMetric


@serializable
class Calibration(SumsMetric):
    """Sum of the predicted probabilities divided by the number of positives.

    What an auction pays follows from probabilities, not from their order, so
    they must be right on average: 1 is right, 1.1 promises a tenth too much.
    0 is returned while there is no positive.

    Args:
        name: defaults to `"calibration"`.
        dtype: defaults to Keras's float type.

    Example:

    ```python
    model.compile(metrics={"click": [rankup_keras.metrics.Calibration()]})
    ```
    """

    def __init__(self, name: str = "calibration", dtype: Any = None) -> None:
        super().__init__(("predicted", "positives"), name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add({"predicted": self.rows(y_pred), "positives": self.rows(y_true)}, sample_weight)

    def result(self) -> Any:
        positives = self._sums["positives"]
        safe = ops.where(positives > 0, positives, 1.0)
        return ops.where(positives > 0, self._sums["predicted"] / safe, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
