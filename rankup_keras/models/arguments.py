"""Constructor arguments that all models share: resolved, as a config, and documented once."""

import difflib
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, TypeVar

import keras
import numpy as np

from rankup_keras.features import FeatureSet

Model = TypeVar("Model", bound=type)

SHARED = """\
embedding_dim: int. Width of embeddings without a width of their own.
    Defaults to 16.
embedding_dropout: float. Dropout rate on the embeddings. Defaults to 0, as
    in the papers; 0.3, with `dropout=0.1`, is what `rankup-keras init` writes.
embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
    Defaults to `"uniform"`.
embeddings_regularizer: regularizer of the rows read in a batch. Defaults to
    none.
dtype: dtype policy of all layers. Defaults to Keras's global policy."""

BLOCKS = """\
mixing: `"token_mixing"` (default), `"mix_and_revert"`, `"tokenmixer_large"`
    (that block as published, with `norm="rms_norm"` and `placement="pre"`),
    `"full_mixing"`, `"unimixing"`, `"token_attention"` or `"gram_mixing"`; a
    dict with one of them under `"kind"` and further arguments of the layer,
    such as `{"kind": "tokenmixer_large", "num_heads": 8}`, with which the
    number of tokens need not divide D; or, as for `ffn`, a layer.
inter_residual: int. s: the output of every s-th block but the last is added
    to that of the s-th after it, beginning with the tokens (TokenMixer-Large
    has 2 or 3). Defaults to 0, none.
auxiliary_loss: float. Weight of the losses of linear heads on the mean token
    of those lower blocks, or of all where `inter_residual` is 0; inference
    does not know them (TokenMixer-Large; 0.1 is usual). Defaults to 0, none.
dropout: float. Dropout rate on each residual branch. Defaults to 0.
tower_units: list of ints, hidden layers of each task's tower. Defaults to
    none."""


def with_shared_arguments(model: Model) -> Model:
    """Puts the shared arguments into a model's docstring, where it says `{shared}`, `{blocks}`."""
    doc = inspect.cleandoc(model.__doc__ or "")
    for place, text in (("    {shared}", SHARED), ("    {blocks}", BLOCKS)):
        doc = doc.replace(place, textwrap.indent(text, "    "))
    model.__doc__ = doc
    return model


def settings_of(constructor: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings, from the `locals()` with which its constructor starts.

    Initializer, regularizer and dtype policy stand in place of their names, so
    that layers and config hold the same ones.

    Raises:
        TypeError: an argument that the model does not have, which Keras would
            swallow, or features that are no `FeatureSet`.
    """
    if not isinstance(features := constructor.get("features"), FeatureSet | None):
        raise TypeError(
            "`features` must be an adapted FeatureSet, as `FeatureSet([...]).adapt(rows)` makes "
            f"it. Received: {type(features).__name__}."
        )
    outside = ("self", "__class__", "kwargs", "features", "tasks")
    settings = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in constructor.items()
        if name not in outside
    }
    for name in constructor.get("kwargs", {}).keys() - {"trainable"}:
        near = difflib.get_close_matches(name, settings, n=1, cutoff=0.75)
        hint = f"Did you mean `{near[0]}`?" if near else f"Its arguments: {sorted(settings)}."
        raise TypeError(f"`{type(constructor['self']).__name__}` has no argument {name!r}. {hint}")
    settings["dtype"] = keras.dtype_policies.get(settings["dtype"] or keras.config.dtype_policy())
    settings["embeddings_initializer"] = keras.initializers.get(settings["embeddings_initializer"])
    settings["embeddings_regularizer"] = keras.regularizers.get(settings["embeddings_regularizer"])
    return settings


def as_config(settings: Mapping[str, Any], **chosen: Any) -> dict[str, Any]:
    """Settings as JSON can hold them, with what the model chose in place of `None`."""
    return {name: _plain(value) for name, value in {**settings, **chosen}.items() if name != "name"}


def _plain(value: Any) -> Any:
    if isinstance(value, keras.DTypePolicy):
        return value.name
    value = keras.saving.serialize_keras_object(value)
    if isinstance(value, Mapping):
        # A layer's own shapes are left out: models copy it for others.
        return {name: _plain(item) for name, item in value.items() if name != "build_config"}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
