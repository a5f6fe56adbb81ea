"""Finds the embedding tables of a model and reads rows of them without copying a table."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.embeddings import FieldEmbedding


@dataclasses.dataclass(frozen=True)
class TableView:
    """Rows of one table inside a variable.

    Attributes:
        variable: Keras variable `(all rows, dim)`.
        offset: First row of the table.
        rows: Number of its rows.
        dim: Width of a row.
    """

    variable: Any
    offset: int
    rows: int
    dim: int

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The rows at `indices` (int64, shape `(n,)`) of the table, `(n, dim)`."""
        # Gathers from the variable itself: reading its value would copy the table.
        return tf.gather(self.variable.value, indices + self.offset).numpy()


def embedding_tables(model: Any) -> dict[str, TableView]:
    """Tables by name: those of `FieldEmbedding` as `set/table`, Keras's by layer name."""
    found: dict[str, TableView] = {}
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, FieldEmbedding) and layer.built:
            found.update(_stacked(layer))
        elif isinstance(layer, keras.layers.Embedding) and layer.built:
            name = layer.name if layer.name not in found else layer.path
            rows, dim = layer._embeddings.shape
            found[name] = TableView(layer._embeddings, 0, rows, dim)
    return found


def _stacked(layer: Any) -> dict[str, TableView]:
    found = {}
    for stack, variable in zip(layer._stacks, layer._variables_by_width, strict=True):
        for block in stack.blocks:
            name = f"{block.table_set}/{block.table}"
            found[name] = TableView(variable, block.offset, block.rows, stack.width)
    return found
