"""Normalised entropy."""

from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.metrics.exact import EPSILON
from rankup_keras.metrics.sums import SumsMetric


@serializable
class NormalizedEntropy(SumsMetric):
    """Log loss as a share of that of always predicting the share of positives.

    Log loss alone says little, since rare positives make it small. With `q`
    the share of positives:

    `NE = mean(-(y ln p + (1 - y) ln(1 - p))) / -(q ln q + (1 - q) ln(1 - q))`

    Below 1 is better than the constant. 0 is returned while all labels are of
    one class.

    Args:
        name: defaults to `"ne"`.
        dtype: defaults to Keras's float type.

    Example:

    ```python
    model.compile(metrics={"click": [rankup_keras.metrics.NormalizedEntropy()]})
    ```

    References:
        - He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014.
    """

    def __init__(self, name: str = "ne", dtype: Any = None) -> None:
        super().__init__(("loss", "positives", "total"), name, dtype)
        self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = self.rows(y_true), self.rows(y_pred)
        p = ops.clip(p, EPSILON, 1 - EPSILON)
        loss = -(y * ops.log(p) + (1 - y) * ops.log(1 - p))
        self.add({"loss": loss, "positives": y, "total": ops.ones_like(y)}, sample_weight)

    def result(self) -> Any:
        total = ops.maximum(self._sums["total"], EPSILON)
        rate = self._sums["positives"] / total
        inside = ops.logical_and(rate > 0, rate < 1)
        rate = ops.where(inside, rate, 0.5)
        entropy = -(rate * ops.log(rate) + (1 - rate) * ops.log(1 - rate))
        return ops.where(inside, self._sums["loss"] / total / entropy, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
