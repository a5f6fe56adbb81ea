"""FTRL-Proximal whose step costs what the batch's rows cost."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.kernels.program import has_accelerator, host_variable, read_on_host
from rankup_keras.optimizers.row_sparse import RowSparse, read_rows, write_rows

CHUNK_ROWS = 1 << 18


@serializable
class Ftrl(RowSparse, keras.optimizers.Ftrl):
    """Keras's `Ftrl`, touching only the rows that a gradient names.

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

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    table = keras.Variable(tf.ones((4, 2)))
    gradient = tf.IndexedSlices(tf.ones((3, 2)), [1, 1, 3], (4, 2))
    rk.optimizers.Ftrl(0.1, keep_initial=True).apply([gradient], [table])
    print(table.numpy())  # rows 0 and 2 keep their initial values
    ```

    References:
        - McMahan et al., KDD 2013, algorithm 1.
    """

    def __init__(
        self, learning_rate: Any = 0.001, keep_initial: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.keep_initial = keep_initial
        # In a closure, or TensorFlow would save the variable with the optimizer.
        self._begun: Callable[[], tf.Variable] | None = None

    slots = ("accumulators", "linears")

    def new_rows(self, variable, gradient, rate, weight, before, linear):
        after = before + tf.square(gradient)
        power = -self.learning_rate_power
        old_root, root = tf.pow(before, power), tf.pow(after, power)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * weight
        linear += shrunk - (root - old_root) / rate * weight
        l1 = self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * rate)
        weight = (tf.clip_by_value(linear, -l1, l1) - linear) / (root / rate + 2 * l2)
        return weight, after, linear

    def update_rows(self, rows, gradient, variable, rate):
        def forget_at_first() -> tf.Operation:
            first = tf.equal(self.iterations.value, 0)
            return tf.cond(first, lambda: self._forget_others(rows, variable), tf.no_op)

        if not self.keep_initial and has_accelerator():
            # The step counter is on the GPU, and reading it waits for all pending work: it is read
            # until the first step is done, and a flag on the host from then on.
            if self._begun is None:
                begun = host_variable(False)
                self._begun = lambda: begun
            tf.cond(read_on_host(self._begun()), tf.no_op, forget_at_first)
        elif not self.keep_initial:
            forget_at_first()
        super().update_rows(rows, gradient, variable, rate)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(grads, trainable_variables)
        if self._begun is not None:
            self._begun().assign(True)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        if self._begun is not None:
            self._begun().assign(False)

    def _forget_others(self, rows: tf.Tensor, variable: tf.Variable) -> tf.Operation:
        kept = read_rows(variable, rows)
        total = variable.shape[0]
        for start in range(0, total, CHUNK_ROWS):
            stop = min(total, start + CHUNK_ROWS)
            variable[start:stop].assign(tf.zeros((stop - start, *variable.shape[1:]), kept.dtype))
        write_rows(variable, rows, kept)
        return tf.no_op()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keep_initial": self.keep_initial}
