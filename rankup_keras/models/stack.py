"""The stacks of layers in the middle of models, each layer one of the model's graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras.layers.mixers import (
    FullMixing,
    MixAndRevert,
    MixerBlock,
    PerTokenFFN,
    PerTokenGLU,
    PerTokenGLUStack,
    PerTokenMoE,
    PerTokenSwiGLU,
    TokenMixing,
)
from rankup_keras.models.layer_choice import (
    LayerChoice,
    is_own_layer,
    kind_and_arguments,
    own_layer,
)

FFNS: dict[str, tuple[type, dict[str, Any]]] = {
    "gelu": (PerTokenFFN, {"activation": "gelu"}),
    "relu": (PerTokenFFN, {"activation": "relu"}),
    "swiglu": (PerTokenSwiGLU, {}),
    "glu": (PerTokenGLU, {}),
    "glu_stack": (PerTokenGLUStack, {}),
    "moe": (PerTokenMoE, {}),
}
MIXINGS: dict[str, type] = {
    "token_mixing": TokenMixing,
    "mix_and_revert": MixAndRevert,
    "full_mixing": FullMixing,
}


def ffn_layer(ffn: LayerChoice, defaults: Mapping[str, Any], dtype: Any) -> Any:
    """A per-token network.

    Args:
        ffn: one of `FFNS`, a dict with its name under `"kind"` and further
            arguments of the layer, a layer, or a layer's Keras config.
        defaults: the layer's name; and arguments for networks of `FFNS`, where
            `ffn` does not give them and the layer has them.
        dtype: dtype policy.
    """
    if is_own_layer(ffn):
        return own_layer("ffn", ffn, defaults["name"], dtype)
    kind, given = kind_and_arguments("ffn", ffn, FFNS)
    layer_class, settings = FFNS[kind]
    if kind in ("glu_stack", "moe"):
        defaults = {key: value for key, value in defaults.items() if key != "down_scale"}
    return layer_class(**{**defaults, **settings, **given, "dtype": dtype})


def needs_divisor(mixing: LayerChoice) -> bool:
    """Whether the number of tokens must divide their width: only where heads are tokens."""
    if is_own_layer(mixing):
        layer = own_layer("mixing", mixing, "mixing", keras.config.dtype_policy())
        return isinstance(layer, TokenMixing | MixAndRevert) and layer.num_heads is None
    kind, given = kind_and_arguments("mixing", mixing, MIXINGS)
    heads = given.get("num_heads")
    return kind == "token_mixing" or (kind == "mix_and_revert" and heads is None)


def mixing_layer(mixing: LayerChoice, make_ffn: Any, name: str, dtype: Any) -> Any:
    """A mixing, chosen as `ffn` is; `make_ffn(part)` makes the network for mixed tokens."""
    if is_own_layer(mixing):
        return own_layer("mixing", mixing, name, dtype)
    kind, given = kind_and_arguments("mixing", mixing, MIXINGS)
    if kind == "mix_and_revert":
        return MixAndRevert(make_ffn("mixed"), **given, dtype=dtype)
    layer: Any = MIXINGS[kind]
    return layer(**given, dtype=dtype)


def mixer_stack(
    x: Any,
    num_blocks: int,
    ffn: LayerChoice,
    ffn_defaults: Mapping[str, Any],
    dtype: Any,
    mixing: LayerChoice = "token_mixing",
    **block: Any,
) -> Any:
    """Applies blocks to `x` (batch, T, D); `**block` as in `MixerBlock`."""
    if num_blocks < 1:
        raise ValueError(f"`num_blocks` must be positive. Received: num_blocks={num_blocks}.")
    for index in range(1, num_blocks + 1):

        def make_ffn(part: str, index: int = index) -> Any:
            return ffn_layer(ffn, {**ffn_defaults, "name": f"block_{index}_{part}"}, dtype)

        network = make_ffn("network")
        mixer = mixing_layer(mixing, make_ffn, f"block_{index}_mixing", dtype)
        for argument, choice, layer in (("mixing", mixing, mixer), ("ffn", ffn, network)):
            if is_own_layer(choice):
                _must_keep_shape(argument, layer, x.shape)
        block_layer = MixerBlock(network, mixer, name=f"block_{index}", dtype=dtype, **block)
        x = block_layer.ffn(block_layer.mixer(x))
    return x


def _must_keep_shape(argument: str, layer: Any, shape: tuple[int | None, ...]) -> None:
    try:
        output: Any = tuple(layer.compute_output_shape(shape))
    except (NotImplementedError, TypeError, ValueError) as error:
        output = error
    if output != shape:
        raise ValueError(
            f"`{argument}` must be a layer whose `compute_output_shape` keeps the shape of its "
            f"one input. Received: {type(layer).__name__}, which makes of {shape}: {output}."
        )


def dense_stack(x: Any, units: Sequence[int], name: str, dtype: Any, dropout: float = 0.0) -> Any:
    """Dense layers with ReLU, `name_1` and so on, each followed by dropout."""
    for index, width in enumerate(units, start=1):
        layer = keras.layers.Dense(width, activation="relu", name=f"{name}_{index}", dtype=dtype)
        x = layer(x)
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=dtype)(x)
    return x
