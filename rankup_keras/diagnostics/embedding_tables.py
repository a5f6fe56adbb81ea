"""Finds the embedding tables of a model."""

from typing import Any

import keras

from rankup_keras.layers.embeddings import FieldEmbedding, TableView


def embedding_tables(model: Any) -> dict[str, TableView]:
    """Tables by name: those of `FieldEmbedding` as `set/table`, Keras's by layer name."""
    found: dict[str, TableView] = {}
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, FieldEmbedding) and layer.built:
            found.update(layer.table_views())
        elif isinstance(layer, keras.layers.Embedding) and layer.built:
            name = layer.name if layer.name not in found else layer.path
            rows, dim = layer._embeddings.shape
            found[name] = TableView(layer._embeddings, 0, rows, dim)
    return found
