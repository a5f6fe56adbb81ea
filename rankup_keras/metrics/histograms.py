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
    """Logits (rows,) of probabilities of any shape, float32; 0 counts as `smallest`."""
    p = tf.cast(tf.reshape(y_pred, (-1,)), tf.float32)
    p = tf.clip_by_value(p, smallest, 1 - 2.0**-24)
    return tf.math.log(p) - tf.math.log1p(-p)
