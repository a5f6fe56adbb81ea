"""Metrics that are functions of a few sums over all rows."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class SumsMetric(keras.metrics.Metric):
    """A metric that keeps sums over rows, of any number of rows in the same memory.

    Args:
        sums: names of the sums.
        name: name of the metric.
        dtype: dtype of the sums.
    """

    def __init__(self, sums: Sequence[str], name: str, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._sums = {
            label: self.add_variable((), keras.initializers.Zeros(), name=label) for label in sums
        }

    def add(self, terms: dict[str, Any], sample_weight: Any) -> None:
        """Adds the weighted terms (rows,) of every sum."""
        weight = None
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        for label, values in terms.items():
            self._sums[label].assign_add(ops.sum(values if weight is None else values * weight))

    def rows(self, values: Any) -> Any:
        """Labels or predictions as (rows,)."""
        return ops.reshape(ops.cast(values, self.dtype), (-1,))
