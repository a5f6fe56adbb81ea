"""How many of their experts tokens use."""

from typing import Any

import keras
from keras import ops


class ExpertShare(keras.metrics.Metric):
    """Share of active experts, averaged over batches.

    Args:
        over_tokens: `"mean"` for all tokens', `"min"` for that of the token
            which uses the fewest: at 0 a token has lost all its experts and
            passes nothing on.
        name: name of the metric.
    """

    def __init__(self, over_tokens: str, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.over_tokens = over_tokens
        self.total: Any = None

    def build_for(self, tokens: int) -> None:
        """Makes the state for a number of tokens."""
        if self.total is None:
            self.total = self.add_variable(shape=(tokens,), initializer="zeros", name="total")
            self.count = self.add_variable(shape=(), initializer="zeros", name="count")

    def update_state(self, shares: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(ops.cast(shares, self.total.dtype))
        self.count.assign_add(1.0)

    def result(self) -> Any:
        if self.total is None:
            return float("nan")
        reduce = ops.min if self.over_tokens == "min" else ops.mean
        # 0 / 0 where nothing was counted: NaN, not a share of 0 that would look like a collapse.
        return reduce(self.total) / self.count
