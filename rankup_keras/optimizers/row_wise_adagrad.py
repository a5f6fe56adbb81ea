"""Adagrad with one accumulator per row."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.optimizers import slot, slots_beside, variable_index
from rankup_keras.optimizers.row_sparse import Filled, RowSparse


@serializable
class RowWiseAdagrad(RowSparse, keras.optimizers.Optimizer):
    """Adagrad that keeps one accumulator for a whole row of an embedding table.

    `a_row += mean(g²); w_row -= learning_rate · g / sqrt(a_row + epsilon)`, the
    mean over the row's columns. Its state is `1 / width` of Adagrad's: 4 bytes
    per row. A weight with one axis has one accumulator per value, which is
    Adagrad.

    Args:
        learning_rate: float or schedule. Defaults to 0.01.
        initial_accumulator_value: start of the accumulators. Defaults to 0.1.
        epsilon: added under the root. Defaults to 1e-7.
        **kwargs: those of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: a negative `initial_accumulator_value`.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import rankup_keras as rk

    table = keras.Variable(tf.zeros((4, 2)))
    gradient = tf.IndexedSlices(tf.ones((3, 2)), [1, 1, 3], (4, 2))
    optimizer = rk.optimizers.RowWiseAdagrad(0.1)
    optimizer.apply([gradient], [table])
    print(optimizer.variables[-1].numpy())  # one accumulator per row
    ```

    References:
        - DLRM, arXiv 1906.00091, and FBGEMM's exact row-wise Adagrad.
    """

    slots = ("accumulators",)

    def __init__(
        self,
        learning_rate: Any = 0.01,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "row_wise_adagrad",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if initial_accumulator_value < 0:
            raise ValueError(
                "`initial_accumulator_value` must not be negative. "
                f"Received: {initial_accumulator_value}."
            )
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._accumulators = []
        self._parts = [_parts(variable) for variable in variables]
        for variable in variables:
            parts = _parts(variable)
            with slots_beside(self, variable):
                accumulator = self.add_variable(
                    shape=(variable.shape[0], *([len(parts)] if parts else [])),
                    initializer=Filled(self.initial_accumulator_value),
                    dtype=variable.dtype,
                    name=f"{variable.path.replace('/', '_')}_row_accumulator",
                )
            self._accumulators.append(accumulator)

    def new_rows(self, variable, gradient, rate, weight, accumulator):
        parts = self._parts[variable_index(self, variable)]
        accumulator += _mean_square(gradient, parts)
        root = tf.math.rsqrt(accumulator + self.epsilon)
        # In a shape that multiplies the gradient.
        if parts:
            root = tf.repeat(root, parts, axis=1)
        else:
            ones = [1] * (len(gradient.shape) - 1)
            root = tf.reshape(root, tf.concat([tf.shape(root), ones], 0))
        return weight - rate * gradient * root, accumulator

    def update_dense(self, gradient, variable, learning_rate):
        stores = variable, slot(self, "accumulators", variable).value
        new = self.new_rows(variable, gradient, learning_rate, *map(tf.convert_to_tensor, stores))
        for store, values in zip(stores, new, strict=True):
            store.assign(values)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            initial_accumulator_value=self.initial_accumulator_value, epsilon=self.epsilon
        )
        return config


def _parts(variable: Any) -> tuple[int, ...]:
    """Widths of the rows of several tables that lie side by side in a variable's, if they do."""
    parts = getattr(variable, "row_parts", ())
    return parts if len(parts) > 1 else ()


def _mean_square(gradient: Any, parts: tuple[int, ...]) -> Any:
    """Mean of the squares of every row, or of each of its parts."""
    squares = tf.square(gradient)
    if parts:
        pieces = tf.split(squares, parts, axis=1)
        return tf.stack([tf.reduce_mean(piece, axis=1) for piece in pieces], axis=1)
    return tf.reduce_mean(squares, axis=list(range(1, len(gradient.shape))))
