"""FTRL-Proximal whose step costs what the batch's rows cost."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.training.optimizers.row_sparse import RowSparse

CHUNK_ROWS = 1 << 18


@serializable
class Ftrl(RowSparse, keras.optimizers.Ftrl):
    """Keras's `Ftrl` in fused kernels, touching only the rows that a gradient names.

    In FTRL-Proximal a weight is a function of its two accumulators alone, and
    an untouched row's accumulators say zero. So Keras's dense `Ftrl` sets every
    row that the first batch does not touch to zero at its first step. This
    optimizer does the same, once, in pieces, and from then on passes over the
    rows of the batch only; with a constant learning rate it equals Keras's on
    every row. (With a schedule Keras rescales untouched rows at every step;
    here they wait for their next batch.)

    Args:
        keep_initial: whether rows keep their initial values until a batch
            touches them. Defaults to `False`, as Keras does.
        **kwargs: those of `keras.optimizers.Ftrl`.

    References:
        - McMahan et al., KDD 2013, algorithm 1.
    """

    def __init__(
        self, learning_rate: Any = 0.001, keep_initial: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.keep_initial = keep_initial

    def update_rows(self, rows, gradient, variable, learning_rate):
        if not self.keep_initial:
            first = tf.equal(self._iterations.value, 0)
            tf.cond(first, lambda: self._forget_others(rows, variable), tf.no_op)
        tf.raw_ops.ResourceSparseApplyFtrlV2(
            **self._arguments(variable, learning_rate), grad=gradient, indices=rows
        )

    def update_dense(self, gradient, variable, learning_rate):
        tf.raw_ops.ResourceApplyFtrlV2(**self._arguments(variable, learning_rate), grad=gradient)

    def _arguments(self, variable: tf.Variable, learning_rate: tf.Tensor) -> dict[str, Any]:
        dtype = variable.dtype
        l2 = self.l2_regularization_strength + self.beta / (2.0 * learning_rate)
        return {
            "var": variable.handle,
            "accum": self._slot(self._accumulators, variable).handle,
            "linear": self._slot(self._linears, variable).handle,
            "lr": learning_rate,
            "l1": tf.cast(self.l1_regularization_strength, dtype),
            "l2": tf.cast(l2, dtype),
            "l2_shrinkage": tf.cast(self.l2_shrinkage_regularization_strength, dtype),
            "lr_power": tf.cast(self.learning_rate_power, dtype),
        }

    def _forget_others(self, rows: tf.Tensor, variable: tf.Variable) -> tf.Operation:
        kept = tf.gather(variable, rows)
        total = variable.shape[0]
        for start in range(0, total, CHUNK_ROWS):
            stop = min(total, start + CHUNK_ROWS)
            variable[start:stop].assign(tf.zeros((stop - start, *variable.shape[1:]), kept.dtype))
        variable.scatter_update(tf.IndexedSlices(kept, rows))
        return tf.no_op()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keep_initial": self.keep_initial}
