"""The inner activations of a model, read by layer name in one forward pass."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# What the models of this package name their tokenizer's end, mixers and FFNs.
_OWN_NAMES = re.compile(r"tokens|block_\d+_(mixer|ffn)")

# What they return at inference is what they were given.
_PASS_THROUGH = (
    keras.layers.InputLayer,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.ActivityRegularization,
    keras.layers.Masking,
)


class Taps:
    """Reads activations `(batch, tokens, width)` of chosen layers.

    Args:
        model: A Functional (or built Sequential) Keras model.
        layers: Names of the layers to read, in order. `None` takes `tokens`,
            `block_1_mixer`, `block_1_ffn`, ... where the model has them, else
            every layer with a floating output of rank 3.

    Attributes:
        names: Names of the layers read, in order.
        branches: Those among them that a residual path leads around. Attention
            over alike tokens, say, is near rank 1 and harms nobody, since it is
            added to tokens that differ.
    """

    def __init__(self, model: Any, layers: Sequence[str] | None = None) -> None:
        _require_graph(model)
        found = {layer.name: layer for layer in model.layers}
        outputs = _token_outputs(model)
        candidates = [
            name
            for name, output in outputs.items()
            if output is not None and not isinstance(found[name], _PASS_THROUGH)
        ]
        if layers is None:
            own = [name for name in candidates if _OWN_NAMES.fullmatch(name)]
            names = own or candidates
        else:
            names = list(layers)
            unknown = [name for name in names if name not in outputs]
            if unknown:
                raise ValueError(
                    f"`layers` names {unknown}, which model '{model.name}' does not have. "
                    f"Its layers with a rank-3 output: {candidates}."
                )
            wrong = [name for name in names if outputs[name] is None]
            if wrong:
                raise ValueError(
                    f"`layers` names {wrong}, whose output is not one floating tensor of shape "
                    f"(batch, tokens, width). Layers that have one: {candidates}."
                )
        if not names:
            raise ValueError(
                f"Model '{model.name}' has no layer with a floating output of shape "
                "(batch, tokens, width), so there is no token matrix whose rank could be taken."
            )
        self.names = names
        self.branches = {n for n in _branches(model, names) if not _OWN_NAMES.fullmatch(n)}
        # A Sequential model has no `input`, but the list of the one it has.
        given = model.inputs if isinstance(model, keras.Sequential) else model.input
        self._model = keras.Model(given, {name: outputs[name] for name in names})
        self._keys = sorted(given) if isinstance(given, dict) else None
        self._forward = tf.function(lambda x: self._model(x, training=False), reduce_retracing=True)

    def __call__(self, x: Any) -> dict[str, np.ndarray]:
        """Activations `(batch, tokens, width)` by layer name for one batch of inputs."""
        if self._keys is not None and isinstance(x, Mapping):
            missing = [key for key in self._keys if key not in x]
            if missing:
                raise ValueError(
                    f"The probe data lack the model's inputs {missing}. Received: {sorted(x)}."
                )
            x = {key: x[key] for key in self._keys}
        x = keras.tree.map_structure(tf.convert_to_tensor, x)
        return {name: value.numpy() for name, value in self._forward(x).items()}

    def reinitialized(self) -> "Taps":
        """The same network with weights drawn afresh.

        Layers that are frozen or were adapted to data keep what they hold,
        since training does not change it.
        """
        clone = object.__new__(Taps)
        clone.names, clone.branches, clone._keys = self.names, self.branches, self._keys
        clone._model = keras.models.clone_model(self._model)
        pairs = zip(_all_layers(clone._model), _all_layers(self._model), strict=True)
        for new, old in pairs:
            if old.weights and (not old.trainable or hasattr(old, "adapt")):
                new.set_weights(old.get_weights())
            if hasattr(new, "finalize_state"):
                new.finalize_state()
        clone._forward = tf.function(
            lambda x: clone._model(x, training=False), reduce_retracing=True
        )
        return clone


class CallableTaps:
    """Activations that the user's own function returns, for models without a graph.

    Args:
        function: Takes one batch of inputs, returns a dict of arrays or
            tensors `(batch, tokens, width)`.
    """

    def __init__(self, function: Callable[[Any], Mapping[str, Any]]) -> None:
        self._function = function
        self.names: list[str] = []
        self.branches: set[str] = set()

    def __call__(self, x: Any) -> dict[str, np.ndarray]:
        found = self._function(x)
        if not isinstance(found, Mapping) or not found:
            raise ValueError(
                "`activations` must return a dict from a name to an array of shape "
                f"(batch, tokens, width). Received: {type(found).__name__}."
            )
        arrays = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
        for name, array in arrays.items():
            if array.ndim != 3:
                raise ValueError(
                    f"`activations` must return arrays of shape (batch, tokens, width). "
                    f"Received for '{name}': shape {array.shape}."
                )
        self.names = list(arrays)
        return arrays


def _all_layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False))


def _require_graph(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {type(model).__name__}.")
    if getattr(model, "inputs", None):
        return
    if isinstance(model, keras.Sequential):
        raise ValueError(
            f"Model '{model.name}' is a Sequential model that has no input shape yet. "
            "Give it a `keras.Input` first, or build it, before its ranks are measured."
        )
    raise ValueError(
        f"'{type(model).__name__}' is a subclassed model: Keras does not know its inner graph, so "
        "its layers cannot be read by name. Pass either `model=` a Functional model inside it "
        "(`EffectiveRank(data, model=my_model.backbone)`), or `activations=` a function from a "
        "batch to a dict of (batch, tokens, width) arrays "
        "(`activations=lambda x: {'block_1': my_model.block_1(my_model.embed(x))}`)."
    )


def _token_outputs(model: Any) -> dict[str, Any]:
    """By layer name, the output if it is one floating tensor of rank 3, else `None`.

    A layer may have been called in other graphs, or several times in this one:
    only calls that lead to the model's outputs count, and of them the last.
    """
    last: dict[str, tuple[int, Any]] = {}
    for operation, index, node in _calls(model):
        if index >= last.get(operation.name, (-1, None))[0]:
            last[operation.name] = (index, node.output_tensors)
    names = [layer.name for layer in model.layers if layer.name in last]
    return {name: _single(last[name][1]) for name in names}


def _calls(model: Any, without: str | None = None) -> Iterator[tuple[Any, int, Any]]:
    """Every call that leads to the model's outputs, on a path around layer `without`."""
    waiting, seen = list(model.outputs), set()
    while waiting:
        operation, index, _ = waiting.pop()._keras_history
        if operation.name == without or (id(operation), index) in seen:
            continue
        seen.add((id(operation), index))
        node = operation._inbound_nodes[index]
        waiting.extend(node.input_tensors)
        yield operation, index, node


def _branches(model: Any, names: Sequence[str]) -> set[str]:
    """The layers around which a path leads from a layer read before them."""
    found = set()
    for number, name in enumerate(names):
        around = {operation.name for operation, _, _ in _calls(model, without=name)}
        if around.intersection(names[:number]):
            found.add(name)
    return found


def _single(outputs: Any) -> Any:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].sparse:
        return None
    return outputs[0] if keras.backend.is_float_dtype(outputs[0].dtype) else None
