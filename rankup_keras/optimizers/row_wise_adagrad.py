"""Adagrad with one accumulator a row."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.optimizers.row_sparse import Filled, RowSparse, read_rows, write_rows


@serializable
class RowWiseAdagrad(RowSparse, keras.optimizers.Optimizer):
    """Adagrad that keeps one accumulator for a whole row of an embedding table.

    `a_row += mean(g²); w_row -= learning_rate · g / sqrt(a_row + epsilon)`, the
    mean over the row's columns. Its state is `1 / width` of Adagrad's: 4 bytes
    a row. A weight with one axis or none has one accumulator a value, which is
    Adagrad.

    Args:
        learning_rate: float or schedule. Defaults to 0.01.
        initial_accumulator_value: start of the accumulators. Defaults to 0.1.
        epsilon: added under the root. Defaults to 1e-7.
        **kwargs: those of `keras.optimizers.Optimizer`.

    References:
        - DLRM, arXiv 1906.00091, and FBGEMM's exact row-wise Adagrad.
    """

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
            self._accumulators.append(
                self.add_variable(
                    shape=(variable.shape[0], *([len(parts)] if parts else [])),
                    initializer=Filled(self.initial_accumulator_value),
                    dtype=variable.dtype,
                    name=f"{variable.path.replace('/', '_')}_row_accumulator",
                )
            )

    def update_rows(self, rows, gradient, variable, learning_rate):
        slot = self._slot(self._accumulators, variable)
        accumulator = read_rows(slot, rows) + _mean_square(
            gradient, self._slot(self._parts, variable)
        )
        step = learning_rate * gradient * self._root(accumulator, gradient, variable)
        write_rows(slot, rows, accumulator)
        write_rows(variable, rows, read_rows(variable, rows) - step)

    def update_dense(self, gradient, variable, learning_rate):
        accumulator = self._slot(self._accumulators, variable).value
        accumulator.assign_add(_mean_square(gradient, self._slot(self._parts, variable)))
        root = self._root(accumulator, gradient, variable)
        variable.assign_sub(learning_rate * root * gradient)

    def _root(self, accumulator, gradient, variable):
        """`1 / sqrt(a + epsilon)`, in a shape that multiplies the gradient."""
        root = tf.math.rsqrt(accumulator + self.epsilon)
        parts = self._slot(self._parts, variable)
        if parts:
            return tf.repeat(root, parts, axis=1)
        return tf.reshape(root, tf.concat([tf.shape(root), [1] * (len(gradient.shape) - 1)], 0))

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
