"""SplitMix64, for NumPy and for TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np

STEP = 0x9E3779B97F4A7C15


def splitmix64(state: Any, right_shift: Callable[[Any, Any], Any] = np.right_shift) -> Any:
    """The generator's output for a uint64 state; each number is drawn `STEP` after the last one.

    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. For
    tensors `right_shift` is `tf.bitwise.right_shift`.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ right_shift(state, np.uint64(shift))) * np.uint64(factor)
    return state ^ right_shift(state, np.uint64(31))
