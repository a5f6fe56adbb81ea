"""Normalized entropy."""

from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.metrics.exact import EPSILON
from rankup_keras.metrics.sums import SumsMetric


@serializable
class NormalizedEntropy(SumsMetric):
    """Log loss divided by that of always predicting the share of positives.

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
    import rankup_keras as rk

    ne = rk.metrics.NormalizedEntropy()
    ne.update_state([1, 0, 0, 1], [0.9, 0.3, 0.2, 0.8])
    print(float(ne.result()))  # 0.33: a third of the constant's log loss
    ```

    References:
        - He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014,
          section 2.2.
    """

    names = ("loss", "positives", "total")

    def __init__(self, name: str = "ne", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self._direction = "down"

    def terms(self, y: Any, p: Any) -> tuple[Any, ...]:
        p = ops.clip(p, EPSILON, 1 - EPSILON)
        return -(y * ops.log(p) + (1 - y) * ops.log(1 - p)), y, ops.ones_like(y)

    def result(self) -> Any:
        total = ops.maximum(self.sums["total"], EPSILON)
        rate = self.sums["positives"] / total
        inside = ops.logical_and(rate > 0, rate < 1)
        rate = ops.where(inside, rate, 0.5)
        entropy = -(rate * ops.log(rate) + (1 - rate) * ops.log(1 - rate))
        value = ops.where(inside, self.sums["loss"] / total / entropy, 0.0)
        return ops.cast(value, self.dtype)
