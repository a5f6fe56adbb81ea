"""DLRM's dot products of all pairs of fields."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable


@serializable
class DotInteraction(keras.layers.Layer):
    """The dot products of all pairs of fields, as keras-rs's `DotInteraction` orders them.

    `out = (f_1 · f_0, f_2 · f_0, f_2 · f_1, f_3 · f_0, ...)`

    Fields arrive side by side, so that none is cut out and stacked again. One
    triangle of the products is chosen by a gather; the gradient chooses as
    well, where TensorFlow's own would add up number by number.

    Args:
        fields: int, how many fields of one width lie side by side.

    Call arguments:
        x: float tensor (batch, fields * width).
        training: bool.

    Returns:
        Tensor (batch, fields * (fields - 1) / 2).

    References:
        - DLRM, arXiv 1906.00091.
    """

    def __init__(self, fields: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fields = fields

    def call(self, x: Any, training: bool | None = None) -> Any:
        fields = tf.reshape(x, (-1, self.fields, x.shape[-1] // self.fields))
        # No XLA in a served graph, which would compile anew at each batch size.
        compiled = bool(training) and not tf.executing_eagerly()
        return _dots(self.fields, _compiled_columns if compiled else _columns)(fields)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], self.fields * (self.fields - 1) // 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fields": self.fields}


def _columns(x: tf.Tensor, columns: Sequence[int]) -> tf.Tensor:
    """Columns of `x`; the one behind its last is zero."""
    return tf.gather(tf.pad(x, [[0, 0], [0, 1]]), np.array(columns, np.int32), axis=1)


@functools.lru_cache(maxsize=16)
def _compiled(columns: tuple[int, ...]) -> Any:
    return tf.function(lambda x: _columns(x, columns), jit_compile=True, autograph=False)


def _compiled_columns(x: tf.Tensor, columns: Sequence[int]) -> tf.Tensor:
    return _compiled(tuple(columns))(x)


def _dots(fields: int, choose: Any) -> Any:
    """A function of (batch, fields, width), with its gradient; `choose` takes columns."""
    rows, columns = np.tril_indices(fields, -1)
    # For every entry of the symmetric matrix the number of its pair; the diagonal has none.
    pair = np.full((fields, fields), len(rows))
    pair[rows, columns] = pair[columns, rows] = np.arange(len(rows))
    triangle, square = (rows * fields + columns).tolist(), pair.ravel().tolist()

    @tf.custom_gradient
    def dots(x: tf.Tensor) -> Any:
        products = tf.matmul(x, x, transpose_b=True)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.matmul(tf.reshape(choose(upstream, square), (-1, fields, fields)), x)

        return choose(tf.reshape(products, (-1, fields * fields)), triangle), gradient

    return dots
