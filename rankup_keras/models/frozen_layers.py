"""Which layers of a model are frozen, for its config: arguments of the model do not say."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from rankup_keras.compat.nested_layers import nested_layers


def frozen_config(model: Any) -> dict[str, Any]:
    """`{"frozen": ...}` where layers have `trainable=False`, else nothing.

    A layer is its class's name and its number among those of the class: Keras may count names
    through a process.
    """
    frozen = [key for key, layer in _numbered(model) if not layer.trainable]
    return {"frozen": frozen} if frozen else {}


def freeze(model: Any, frozen: Collection[list[Any]]) -> Any:
    """The model, with the layers frozen that `frozen_config` named of one like it."""
    for key, layer in _numbered(model) if frozen else ():
        if key in frozen:
            layer.trainable = False
    return model


def _numbered(model: Any) -> Iterator[tuple[list[Any], Any]]:
    seen: Counter[str] = Counter()
    for layer in nested_layers(model, include_self=True):
        kind = type(layer).__name__
        yield [kind, seen[kind]], layer
        seen[kind] += 1
