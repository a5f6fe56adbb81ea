"""All layers inside a layer, at every depth.

Keras lists a model's direct layers only: those inside a block or a nested layer have no public
way. Read in Keras 3.15.1, `Layer._flatten_layers`. It can go when Keras has a public one.
"""

from typing import Any

import keras


def sublayers(layer: keras.layers.Layer, include_self: bool = True) -> list[Any]:
    """The layers inside a layer or model at every depth, after the layer itself.

    Args:
        layer: a layer or model.
        include_self: whether the layer itself is the first in the list.
    """
    return list(layer._flatten_layers(include_self=include_self))
