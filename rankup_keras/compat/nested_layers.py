"""All layers inside a layer or model, at any depth."""

from typing import Any


def nested_layers(layer: Any, include_self: bool = False) -> list[Any]:
    """The layers that a layer or model holds, and those that they hold.

    Why private: `Model.layers` stops at the first level, and a `Layer` tells nothing of the layers
    inside it. Read in Keras 3.15.1. A public `layers` of `Layer`, or a recursive one of `Model`,
    would let this go.
    """
    return list(layer._flatten_layers(include_self=include_self))
