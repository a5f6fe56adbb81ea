"""Adam that moves only the rows of the batch."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.optimizers import slot
from rankup_keras.optimizers.row_sparse import RowSparse


@serializable
class LazyAdam(RowSparse, keras.optimizers.Adam):
    """Adam whose moments and weights change only in the rows that a gradient names.

    For a touched row, with t the optimizer's step,

        `m += (1 - β1)(g - m);  v += (1 - β2)(g² - v)`
        `w -= learning_rate · sqrt(1 - β2^t) / (1 - β1^t) · m / (sqrt(v) + epsilon)`

    **It is not dense Adam.** There the moments of an absent row decay at every
    step, and the row goes on moving by its old momentum. Here both wait until
    the row comes again, so that rare ids keep a longer memory and a row moves
    only on evidence. On a row touched at every step the two are equal; a dense
    gradient gets dense Adam in a fused kernel.

    Args: those of `keras.optimizers.Adam`; `amsgrad` is not supported.

    Raises:
        ValueError: from the first step, for `amsgrad`.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    table = keras.Variable(tf.zeros((4, 2)))
    gradient = tf.IndexedSlices(tf.ones((3, 2)), [1, 1, 3], (4, 2))
    rk.optimizers.LazyAdam(0.1).apply([gradient], [table])
    print(table.numpy())  # rows 0 and 2 are untouched
    ```

    References:
        - Kingma and Ba, arXiv 1412.6980, algorithm 1 and section 2.
    """

    slots = ("momentums", "velocities")

    def build(self, var_list):
        if self.amsgrad:
            raise ValueError("`amsgrad` has no row-sparse form. Received: amsgrad=True.")
        super().build(var_list)

    def new_rows(self, variable, gradient, rate, weight, m, v):
        step = tf.cast(self.iterations, rate.dtype) + 1
        power_1 = tf.pow(tf.cast(self.beta_1, rate.dtype), step)
        power_2 = tf.pow(tf.cast(self.beta_2, rate.dtype), step)
        m += (gradient - m) * (1 - self.beta_1)
        v += (tf.square(gradient) - v) * (1 - self.beta_2)
        rate *= tf.sqrt(1 - power_2) / (1 - power_1)
        return weight - rate * m / (tf.sqrt(v) + self.epsilon), m, v

    def update_dense(self, gradient, variable, learning_rate):
        apply_adam(self, gradient, variable, learning_rate)


def apply_adam(
    optimizer: keras.optimizers.Adam,
    gradient: tf.Tensor,
    variable: tf.Variable,
    learning_rate: tf.Tensor,
) -> None:
    """One step of Keras's Adam in one kernel instead of a dozen passes over memory."""
    dtype = variable.dtype
    step = tf.cast(optimizer.iterations, dtype) + 1
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=slot(optimizer, "momentums", variable).handle,
        v=slot(optimizer, "velocities", variable).handle,
        beta1_power=tf.pow(tf.cast(optimizer.beta_1, dtype), step),
        beta2_power=tf.pow(tf.cast(optimizer.beta_2, dtype), step),
        lr=learning_rate,
        beta1=tf.cast(optimizer.beta_1, dtype),
        beta2=tf.cast(optimizer.beta_2, dtype),
        epsilon=tf.cast(optimizer.epsilon, dtype),
        grad=gradient,
    )
