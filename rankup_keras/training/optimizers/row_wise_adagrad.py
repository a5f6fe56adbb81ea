"""Adagrad with one accumulator a row."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.training.optimizers.row_sparse import Filled, RowSparse, read_rows, write_rows


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
        for variable in variables:
            shape = variable.shape
            self._accumulators.append(
                self.add_variable(
                    shape=shape[:1],
                    initializer=Filled(self.initial_accumulator_value),
                    dtype=variable.dtype,
                    name=f"{variable.path.replace('/', '_')}_row_accumulator",
                )
            )

    def update_rows(self, rows, gradient, variable, learning_rate):
        slot = self._slot(self._accumulators, variable)
        axes = list(range(1, len(gradient.shape)))
        accumulator = read_rows(slot, rows) + tf.reduce_mean(tf.square(gradient), axis=axes)
        root = tf.math.rsqrt(accumulator + self.epsilon)
        root = tf.reshape(root, [-1] + [1] * len(axes))
        write_rows(slot, rows, accumulator)
        write_rows(variable, rows, read_rows(variable, rows) - learning_rate * root * gradient)

    def update_dense(self, gradient, variable, learning_rate):
        accumulator = self._slot(self._accumulators, variable).value
        axes = list(range(1, len(gradient.shape)))
        accumulator.assign_add(tf.reduce_mean(tf.square(gradient), axis=axes))
        root = tf.math.rsqrt(accumulator + self.epsilon)
        root = tf.reshape(root, tf.concat([tf.shape(root), [1] * len(axes)], 0))
        variable.assign_sub(learning_rate * root * gradient)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            initial_accumulator_value=self.initial_accumulator_value, epsilon=self.epsilon
        )
        return config
