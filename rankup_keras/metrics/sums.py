"""Metrics that are functions of a few sums over all rows."""

from typing import Any, ClassVar

import keras
from keras import ops


class SumsMetric(keras.metrics.Metric):
    """A metric that keeps weighted sums over rows, of any number of rows in the same memory.

    Args:
        name: name of the metric.
        dtype: dtype of the result. Defaults to Keras's float type.
    """

    names: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        # In float32 a sum of ones would stop at 2**24, in bfloat16 at 256.
        self.sums = {
            label: self.add_variable((), keras.initializers.Zeros(), "float64", name=label)
            for label in self.names
        }

    def terms(self, y: Any, p: Any) -> tuple[Any, ...]:
        """What a row adds to each sum, of labels and probabilities (rows,)."""
        raise NotImplementedError  # abstract: it is what a metric is

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = (ops.reshape(ops.cast(x, "float32"), (-1,)) for x in (y_true, y_pred))
        weight: Any = 1.0
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        for label, values in zip(self.names, self.terms(y, p), strict=True):
            self.sums[label].assign_add(ops.cast(ops.sum(values * weight), "float64"))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
