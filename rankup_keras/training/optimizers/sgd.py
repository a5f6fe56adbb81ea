"""SGD whose step costs what the batch's rows cost."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.training.optimizers.row_sparse import RowSparse


@serializable
class SGD(RowSparse, keras.optimizers.SGD):
    """Keras's `SGD`, touching only the rows that a gradient names.

    `w_row -= learning_rate · Σ g_row`. Equal to `keras.optimizers.SGD` on
    every row. Momentum is refused for such gradients: it moves rows that are
    not in the batch.

    Args: those of `keras.optimizers.SGD`.
    """

    def update_step(self, gradient, variable, learning_rate):
        if isinstance(gradient, tf.IndexedSlices) and self.momentum == 0:
            # The scatter adds repeats up by itself.
            step = tf.cast(gradient.values, variable.dtype) * tf.cast(learning_rate, variable.dtype)
            tf.raw_ops.ResourceScatterSub(
                resource=variable.handle, indices=gradient.indices, updates=step
            )
            return
        super().update_step(gradient, variable, learning_rate)

    def update_rows(self, rows, gradient, variable, learning_rate):
        raise ValueError(
            "`momentum` moves rows that are not in the batch and has no row-sparse form. "
            f"Use momentum=0, or `LazyAdam`. Received: momentum={self.momentum}."
        )
