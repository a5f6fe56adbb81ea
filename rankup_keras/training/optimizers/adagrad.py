"""Adagrad whose step costs what the batch's rows cost."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.training.optimizers.row_sparse import Filled, RowSparse


@serializable
class Adagrad(RowSparse, keras.optimizers.Adagrad):
    """Keras's `Adagrad` in fused kernels, touching only the rows that a gradient names.

    `a_row += g²; w_row -= learning_rate · g / sqrt(a_row + epsilon)`, g the sum
    over the row's repeats in the batch. Equal to `keras.optimizers.Adagrad` on
    every row, touched or not, since a row without gradient stays as it is.

    The fused kernel has no epsilon under its root, so the accumulator slot
    holds `a + epsilon` from its first value on.

    Args: those of `keras.optimizers.Adagrad`.

    References:
        - Duchi, Hazan and Singer, JMLR 12 (2011).
    """

    def build(self, var_list):
        if self.built:
            return
        keras.optimizers.Optimizer.build(self, var_list)
        self._accumulators = self.add_optimizer_variables(
            var_list, "accumulator", Filled(self.initial_accumulator_value + self.epsilon)
        )

    def update_rows(self, rows, gradient, variable, learning_rate):
        tf.raw_ops.ResourceSparseApplyAdagrad(
            var=variable.handle,
            accum=self._slot(self._accumulators, variable).handle,
            lr=learning_rate,
            grad=gradient,
            indices=rows,
        )

    def update_dense(self, gradient, variable, learning_rate):
        tf.raw_ops.ResourceApplyAdagrad(
            var=variable.handle,
            accum=self._slot(self._accumulators, variable).handle,
            lr=learning_rate,
            grad=gradient,
        )
