"""Adagrad whose step costs what the batch's rows cost."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.optimizers.row_sparse import RowSparse


@serializable
class Adagrad(RowSparse, keras.optimizers.Adagrad):
    """Keras's `Adagrad`, touching only the rows that a gradient names.

    `a_row += g²; w_row -= learning_rate · g / sqrt(a_row + epsilon)`, g the sum
    over the row's repeats in the batch. Equal to `keras.optimizers.Adagrad`
    given the same gradient written out in full, on every row, touched or not,
    since a row without gradient stays as it is. (Given repeats, Keras squares
    each by itself.)

    Args: those of `keras.optimizers.Adagrad`.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    table = keras.Variable(tf.zeros((4, 2)))
    gradient = tf.IndexedSlices(tf.ones((3, 2)), [1, 1, 3], (4, 2))  # row 1 twice
    rk.optimizers.Adagrad(0.1).apply([gradient], [table])
    print(table.numpy())  # rows 0 and 2 are untouched
    ```

    References:
        - Duchi, Hazan and Singer, JMLR 12 (2011).
    """

    slots = ("accumulators",)

    def new_rows(self, variable, gradient, rate, weight, accumulator):
        accumulator += tf.square(gradient)
        return weight - rate * gradient * tf.math.rsqrt(accumulator + self.epsilon), accumulator
