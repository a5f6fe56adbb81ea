"""A base for layers whose config is their constructor's arguments."""

import inspect
from typing import Any

import keras
import numpy as np


class ConfiguredLayer(keras.layers.Layer):
    """Keeps every argument of `__init__` as an attribute of its name, which is all its config.

    Initializers, regularizers, activations and other Keras objects are serialized.
    """

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for owner in type(self).__mro__:
            if owner is ConfiguredLayer:
                break
            constructor = vars(owner).get("__init__")
            names = inspect.signature(constructor).parameters if constructor else ()
            for name in names:
                if name not in ("self", "args", "kwargs"):
                    config[name] = _serialized(getattr(self, name))
        return config


def _serialized(value: Any) -> Any:
    if inspect.isfunction(value):
        return keras.activations.serialize(value)
    value = value.item() if isinstance(value, np.generic) else value
    return keras.saving.serialize_keras_object(value)
