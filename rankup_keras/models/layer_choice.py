"""Layers that users choose by name, by a dict, or by giving a layer of their own."""

import random
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import keras

# A name; a dict with a name under "kind", or a layer's Keras config; a layer.
LayerChoice: TypeAlias = str | Mapping[str, Any] | keras.layers.Layer


def kind_and_arguments(
    argument: str, choice: LayerChoice, kinds: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """A name, or a dict with a name under `"kind"`, as name and further arguments."""
    given: dict[str, Any] = dict(choice) if isinstance(choice, Mapping) else {"kind": choice}
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(
            f"`{argument}` must be one of {tuple(kinds)}, a dict with one of them under 'kind', "
            f"a layer, or a layer's Keras config. Received: {choice!r}."
        )
    return kind, given


def is_own_layer(choice: LayerChoice) -> bool:
    """Whether the choice is a layer, or the config that Keras makes of one."""
    return isinstance(choice, keras.layers.Layer) or (
        isinstance(choice, Mapping) and "class_name" in choice
    )


def own_layer(argument: str, choice: LayerChoice, name: str, dtype: Any) -> Any:
    """A new layer like the one given, with weights and random seeds of its own.

    Args:
        argument: the model's argument, for messages.
        choice: a layer, whose weights are not taken over, or its Keras config.
        name: name of the new layer, from which its seeds follow.
        dtype: dtype policy of the new layer and of those inside it.

    Raises:
        ValueError: the layer cannot be made from its config.
    """
    try:
        config = _renewed(keras.saving.serialize_keras_object(choice), name, dtype)
        layer = keras.saving.deserialize_keras_object(config)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"`{argument}` must be a layer that Keras can make again from its config. "
            f"Received: {choice!r}. {error}"
        ) from error
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError(f"`{argument}` must be a layer's Keras config. Received: {choice!r}.")
    layer.name = name
    return layer


def _renewed(config: Any, name: str, dtype: Any) -> Any:
    """A config with new seeds and another dtype policy at every depth, for any shape of input."""
    if isinstance(config, list | tuple):
        return [_renewed(item, name, dtype) for item in config]
    if not isinstance(config, Mapping):
        return config
    if config.get("class_name") == "DTypePolicy":
        return keras.dtype_policies.serialize(dtype)
    config = {key: value for key, value in config.items() if key != "build_config"}
    return {
        key: random.Random(f"{value} {name}").getrandbits(31)
        if key == "seed" and isinstance(value, int)
        else _renewed(value, name, dtype)
        for key, value in config.items()
    }
