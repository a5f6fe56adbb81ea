"""Sums of rows by place, kept in a metric's variable."""

from typing import Any

import tensorflow as tf


def add_at(variable: Any, place: tf.Tensor, values: tf.Tensor) -> None:
    """Adds values (rows,) to places (rows,) of a variable of a metric, of one axis."""
    values = tf.cast(values, variable.dtype)
    inner = variable.value
    if isinstance(inner, tf.distribute.DistributedValues):
        variable.assign_add(tf.math.unsorted_segment_sum(values, place, variable.shape[0]))
    else:
        inner.scatter_nd_add(place[:, None], values)


def logits(y_pred: Any, smallest: float) -> tf.Tensor:
    """Logits (rows,) of probabilities of any shape, float32; 0 counts as `smallest`.

    The logit of 1 is finite too, above that of every other float32.
    """
    p = tf.maximum(tf.cast(tf.reshape(y_pred, (-1,)), tf.float32), smallest)
    return tf.math.log(p) - tf.math.log(tf.maximum(1 - p, 2.0**-25))
