"""Finds the embedding tables of a model."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.layers.embeddings import FieldEmbedding


@dataclasses.dataclass(frozen=True)
class KerasTable:
    """The table of a Keras `Embedding`, with the interface of `TableView`."""

    layer: Any

    @property
    def rows(self) -> int:
        return self.layer.input_dim

    @property
    def dim(self) -> int:
        return self.layer.output_dim

    def read(self, indices: np.ndarray) -> np.ndarray:
        vectors = self.layer.embeddings
        # Gathers from the variable itself: reading its value would copy the table.
        return tf.gather(getattr(vectors, "value", vectors), indices).numpy()


def embedding_tables(model: Any) -> dict[str, Any]:
    """Tables by name: those of `FieldEmbedding` as `set/table`, Keras's by layer name."""
    found: dict[str, Any] = {}
    for layer in nested_layers(model):
        if isinstance(layer, FieldEmbedding) and layer.built:
            found.update(layer.table_views())
        elif isinstance(layer, keras.layers.Embedding) and layer.built:
            found[layer.name if layer.name not in found else layer.path] = KerasTable(layer)
    return found
