"""A model cut behind its embedding tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras.compat.nested_layers import nested_layers


@dataclasses.dataclass(frozen=True)
class DensePart:
    """What stands behind the tables of a model.

    Attributes:
        network: the layers after the tables, from a list of inputs to outputs.
        vectors: how many of its inputs, the first ones, come from a lookup: the
            update of the tables needs their gradients.
        tables: names of the layers left out, which are the lookup and `TrimPadding`.
    """

    network: keras.Model
    vectors: int
    tables: list[str]

    def __call__(self, tensors: Sequence[Any], training: bool) -> Any:
        """The outputs, of one tensor for every input of the network."""
        if self.tables:
            return self.network(list(tensors), training=training)
        if isinstance(self.network, keras.Sequential):
            return self.network(tensors[0], training=training)
        return self.network(
            keras.tree.pack_sequence_as(self.network.input, list(tensors)), training=training
        )


def dense_part(model: keras.Model, outputs: Any = None) -> DensePart:
    """The Functional model behind the embedding tables.

    Args:
        model: a Functional model, with tables or without.
        outputs: its symbolic outputs, and others of the same graph. Defaults to its outputs.
    """
    tables = [layer for layer in model.layers if _holds_tables(layer)]
    if not tables:
        network = model if outputs is None else keras.Model(model.input, outputs)
        return DensePart(network, 0, [])
    tables += [layer for layer in model.layers if getattr(layer, "before_xla", False)]
    vectors = [tensor for layer in tables for tensor in keras.tree.flatten(layer.output)]
    # The ids stay among the inputs: they also say where a sequence ends.
    outputs = outputs_of(model) if outputs is None else outputs
    network = keras.Model([*vectors, *model.inputs], outputs)
    return DensePart(network, len(vectors), [layer.name for layer in tables])


def inputs_of(model: keras.Model, x: Any) -> list[Any]:
    """A batch's tensors in the order of `model.inputs`."""
    if isinstance(x, Mapping):
        return [x[tensor.name] for tensor in model.inputs]
    return keras.tree.flatten(x)


def outputs_of(model: keras.Model) -> Any:
    """A model's symbolic outputs."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def _holds_tables(layer: Any) -> bool:
    return any(getattr(variable, "row_sparse", False) for variable in layer.variables) or any(
        type(part).__name__ == "DistributedEmbedding"
        for part in nested_layers(layer, include_self=True)
    )
