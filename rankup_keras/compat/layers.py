"""All layers inside a layer or a model."""

from typing import Any


def nested_layers(layer: Any) -> list[Any]:
    """The layer and every layer inside it, at any depth, each once.

    `Model.layers` is public and lists the outermost layers only; a layer that is not a model has
    no public list of its sublayers. Read in Keras 3.15.1. It can go once Keras has a public
    traversal.
    """
    return list(layer._flatten_layers())
