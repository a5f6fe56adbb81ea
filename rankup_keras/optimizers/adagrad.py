"""Adagrad whose step costs what the batch's rows cost."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.optimizers.row_sparse import RowSparse, read_rows, write_rows


@serializable
class Adagrad(RowSparse, keras.optimizers.Adagrad):
    """Keras's `Adagrad`, touching only the rows that a gradient names.

    `a_row += g²; w_row -= learning_rate · g / sqrt(a_row + epsilon)`, g the sum
    over the row's repeats in the batch. Equal to `keras.optimizers.Adagrad`
    given the same gradient written out in full, on every row, touched or not,
    since a row without gradient stays as it is. (Given repeats, Keras squares
    each by itself.)

    Args: those of `keras.optimizers.Adagrad`.

    References:
        - Duchi, Hazan and Singer, JMLR 12 (2011).
    """

    def update_rows(self, rows, gradient, variable, learning_rate):
        slot = self._slot(self._accumulators, variable)
        accumulator = read_rows(slot, rows) + tf.square(gradient)
        step = learning_rate * gradient * tf.math.rsqrt(accumulator + self.epsilon)
        write_rows(slot, rows, accumulator)
        write_rows(variable, rows, read_rows(variable, rows) - step)
