"""Adam for the dense part, in one kernel per weight."""

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.optimizers.lazy_adam import apply_adam


@serializable
class Adam(keras.optimizers.Adam):
    """Keras's `Adam` in TensorFlow's fused kernel.

    The same numbers to rounding, in one pass over a weight and its two slots
    where Keras makes a dozen. Weight decay, clipping, EMA and the rest are
    Keras's. With `amsgrad`, and for gradients that name rows, it is Keras's
    own update.

    Args: those of `keras.optimizers.Adam`.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    weight = keras.Variable(tf.zeros((2, 2)))
    rk.optimizers.Adam(0.1).apply([tf.ones((2, 2))], [weight])
    print(weight.numpy())  # -0.1 everywhere
    ```

    References:
        - Kingma and Ba, arXiv 1412.6980.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        rate = tf.cast(learning_rate, variable.dtype)
        apply_adam(self, tf.cast(gradient, variable.dtype), variable, rate)
