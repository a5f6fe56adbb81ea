"""SGD whose step costs what the batch's rows cost."""

import keras

from rankup_keras._registry import serializable
from rankup_keras.optimizers.row_sparse import RowSparse


@serializable
class SGD(RowSparse, keras.optimizers.SGD):
    """Keras's `SGD`, touching only the rows that a gradient names.

    `w_row -= learning_rate · Σ g_row`. Equal to `keras.optimizers.SGD` on
    every row.

    Args: those of `keras.optimizers.SGD`.

    Raises:
        ValueError: from the first step, for `momentum`: it moves rows that are not in the batch.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    table = keras.Variable(tf.zeros((4, 2)))
    gradient = tf.IndexedSlices(tf.ones((3, 2)), [1, 1, 3], (4, 2))  # row 1 twice
    rk.optimizers.SGD(0.1).apply([gradient], [table])
    print(table.numpy())  # row 1 moved by 0.2, row 3 by 0.1
    ```
    """

    def new_rows(self, variable, gradient, rate, weight):
        if self.momentum:
            raise ValueError(
                "`momentum` moves rows that are not in the batch and has no row-sparse form. "
                f"Use momentum=0, or `LazyAdam`. Received: momentum={self.momentum}."
            )
        return (weight - rate * gradient,)
