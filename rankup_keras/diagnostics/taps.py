"""The inner activations of a model, read by layer name in one forward pass."""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.functional_graph import calls
from rankup_keras.compat.nested_layers import nested_layers

# What the models of this package name their tokenizer's end, mixers, queries, events and FFNs.
_OWN_NAMES = re.compile(
    r"(user_|item_)?tokens|block_\d+_(user_|item_)?(mixer|query|events_\d+|ffn)"
)

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
            names = [name for name in candidates if _OWN_NAMES.fullmatch(name)] or candidates
        else:
            names = list(layers)
            _check_names(names, outputs, candidates, model.name)
        if not names:
            raise ValueError(
                f"Model '{model.name}' has no layer with a floating output of shape "
                "(batch, tokens, width), so there is no token matrix whose rank could be taken."
            )
        self.names = names
        self.branches = {n for n in _branches(model, names) if not _OWN_NAMES.fullmatch(n)}
        # A Sequential model has no `input`, but the list of the one it has.
        inputs = model.inputs if isinstance(model, keras.Sequential) else model.input
        self._keys = sorted(inputs) if isinstance(inputs, dict) else None
        self.read_from(keras.Model(inputs, {name: outputs[name] for name in names}))

    def read_from(self, model: keras.Model) -> None:
        """Reads another model of the same layers from now on."""
        self._model = model
        self._forward = tf.function(
            lambda x: model(x, training=False), reduce_retracing=True, autograph=False
        )
        self._tokens = {name: x.shape[1] for name, x in model.output.items()}

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
        found = {name: value.numpy() for name, value in self._forward(x).items()}
        return {name: _full(value, self._tokens[name]) for name, value in found.items()}

    def reinitialized(self) -> "Taps":
        """The same network with weights drawn afresh.

        Layers that are frozen or were adapted to data keep what they hold,
        since training does not change it.
        """
        clone = keras.models.clone_model(self._model)
        for new, old in zip(nested_layers(clone), nested_layers(self._model), strict=True):
            if old.weights and (not old.trainable or hasattr(old, "adapt")):
                new.set_weights(old.get_weights())
            if hasattr(new, "finalize_state"):
                new.finalize_state()
        taps = copy.copy(self)
        taps.read_from(clone)
        return taps


def _full(x: np.ndarray, tokens: int | None) -> np.ndarray:
    """Events whose padding was trimmed with it again, so that batches are equally long."""
    rest = (tokens or x.shape[1]) - x.shape[1]
    return np.pad(x, [(0, 0), (0, rest), (0, 0)]) if rest else x


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
                    "`activations` must return arrays of shape (batch, tokens, width). "
                    f"Received for '{name}': shape {array.shape}."
                )
        self.names = list(arrays)
        return arrays


def _check_names(
    names: list[str], outputs: dict[str, Any], candidates: list[str], model: str
) -> None:
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise ValueError(
            f"`layers` names {unknown}, which model '{model}' does not have. "
            f"Its layers with a rank-3 output: {candidates}."
        )
    wrong = [name for name in names if outputs[name] is None]
    if wrong:
        raise ValueError(
            f"`layers` names {wrong}, whose output is not one floating tensor of shape "
            f"(batch, tokens, width). Layers that have one: {candidates}."
        )


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
    last: dict[str, Any] = {}
    for call in calls(model.outputs):
        name = call.operation.name
        if name not in last or call.number >= last[name].number:
            last[name] = call
    names = [layer.name for layer in model.layers if layer.name in last]
    return {name: _single(last[name].outputs) for name in names}


def _branches(model: Any, names: Sequence[str]) -> set[str]:
    """The layers around which a path leads from a layer read before them."""
    found = set()
    for number, name in enumerate(names):
        around = {call.operation.name for call in calls(model.outputs, without=name)}
        if around.intersection(names[:number]):
            found.add(name)
    return found


def _single(outputs: Any) -> Any:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].sparse:
        return None
    return outputs[0] if keras.backend.is_float_dtype(outputs[0].dtype) else None
