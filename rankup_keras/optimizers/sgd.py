"""SGD whose step costs what the batch's rows cost."""

import keras

from rankup_keras._registry import serializable
from rankup_keras.optimizers.row_sparse import RowSparse, read_rows, write_rows


@serializable
class SGD(RowSparse, keras.optimizers.SGD):
    """Keras's `SGD`, touching only the rows that a gradient names.

    `w_row -= learning_rate · Σ g_row`. Equal to `keras.optimizers.SGD` on
    every row. Momentum is refused for such gradients: it moves rows that are
    not in the batch.

    Args: those of `keras.optimizers.SGD`.
    """

    def update_rows(self, rows, gradient, variable, learning_rate):
        if self.momentum:
            raise ValueError(
                "`momentum` moves rows that are not in the batch and has no row-sparse form. "
                f"Use momentum=0, or `LazyAdam`. Received: momentum={self.momentum}."
            )
        write_rows(variable, rows, read_rows(variable, rows) - learning_rate * gradient)
