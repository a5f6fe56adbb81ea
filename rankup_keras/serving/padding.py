"""What stands for a missing value in raw columns, and lists padded with it."""

from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.target import PADDING


def missing_value(spec: tf.TensorSpec) -> Any:
    """The value that preprocessing takes for a missing one in a column of that dtype."""
    return PADDING[spec.dtype.name]


def widen(column: np.ndarray, width: int, spec: tf.TensorSpec) -> np.ndarray:
    """A column of lists, padded to at least a width."""
    if column.shape[1] >= width:
        return column
    wide = np.full((len(column), width), missing_value(spec), column.dtype)
    wide[:, : column.shape[1]] = column
    return wide
