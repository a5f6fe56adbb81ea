"""Which axis lies first in memory: rows, as layers see it, or tokens, as batched products like it.

Layers take and return (batch, T, D). A product per token wants (T, batch, D), so between two
per-token networks a graph would transpose there and back. Where a tensor has just been transposed,
functions that work on the last axis alone work on the form before, and transpose afterwards: each
pair of transposes then stands side by side, and TensorFlow and XLA take it out of the graph.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

SWAPPED = (1, 0, 2)


def tokens_first(x: Any) -> Any:
    """(batch, T, D) → (T, batch, D)."""
    return ops.transpose(x, SWAPPED)


def batch_first(x: Any) -> Any:
    """(T, batch, D) → (batch, T, D)."""
    return ops.transpose(x, SWAPPED)


def lies_tokens_first(x: Any) -> bool:
    """Whether `x` is what `batch_first` made, in a graph."""
    if not tf.is_symbolic_tensor(x) or x.op.type != "Transpose":
        return False
    permutation = tf.get_static_value(x.op.inputs[1])
    return permutation is not None and tuple(permutation) == SWAPPED


def in_layout(function: Callable[..., Any], *tensors: Any) -> Any:
    """`function(*tensors)` for a function of the last axis, in the order in which they lie.

    Args:
        function: from tensors of three axes to one or a tuple of them, to which the order of the
            first two axes does not matter.
        *tensors: (batch, T, D) each.
    """
    if not any(map(lies_tokens_first, tensors)):
        return function(*tensors)
    return keras.tree.map_structure(batch_first, function(*map(tokens_first, tensors)))
