"""The mixer stack of a model, built so that every mixer and network is a layer of the graph."""

from collections.abc import Mapping
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

FFNS: dict[str, tuple[type, dict[str, Any]]] = {
    "gelu": (PerTokenFFN, {"activation": "gelu"}),
    "relu": (PerTokenFFN, {"activation": "relu"}),
    "swiglu": (PerTokenSwiGLU, {}),
    "glu": (PerTokenGLU, {}),
    "glu_stack": (PerTokenGLUStack, {}),
    "moe": (PerTokenMoE, {}),
}


def ffn_layer(ffn: str | Mapping[str, Any], defaults: Mapping[str, Any], dtype: Any) -> Any:
    """A per-token network.

    Args:
        ffn: one of `FFNS`, or a dict with its name under `"kind"` and further
            arguments of the layer.
        defaults: arguments used where `ffn` does not give them and the layer
            has them.
        dtype: dtype policy.
    """
    given = {"kind": ffn} if isinstance(ffn, str) else dict(ffn)
    kind = given.pop("kind", None)
    if kind not in FFNS:
        raise ValueError(
            f"`ffn` must be one of {sorted(FFNS)}, or a dict with one of them under 'kind'. "
            f"Received: {ffn!r}."
        )
    layer_class, settings = FFNS[kind]
    if kind in ("glu_stack", "moe"):
        defaults = {key: value for key, value in defaults.items() if key != "down_scale"}
    return layer_class(**{**defaults, **settings, **given, "dtype": dtype})


MIXINGS = ("token_mixing", "mix_and_revert", "full_mixing")


def mixing_kind(mixing: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of a mixing, one of `MIXINGS`, and its further arguments."""
    given = {"kind": mixing} if isinstance(mixing, str) else dict(mixing)
    kind = given.pop("kind", None)
    if kind not in MIXINGS:
        raise ValueError(
            f"`mixing` must be one of {MIXINGS}, or a dict with one of them under 'kind'. "
            f"Received: {mixing!r}."
        )
    return kind, given


def needs_divisor(mixing: str | Mapping[str, Any]) -> bool:
    """Whether the number of tokens must divide their width: only where heads are tokens."""
    kind, given = mixing_kind(mixing)
    heads = given.get("num_heads")
    return kind == "token_mixing" or (kind == "mix_and_revert" and heads is None)


def mixing_layer(mixing: str | Mapping[str, Any], make_ffn: Any, dtype: Any) -> Any:
    """A mixing; `make_ffn(name)` makes the network for mixed tokens."""
    kind, given = mixing_kind(mixing)
    if kind == "mix_and_revert":
        return MixAndRevert(make_ffn("mixed"), **given, dtype=dtype)
    layer: Any = FullMixing if kind == "full_mixing" else TokenMixing
    return layer(**given, dtype=dtype)


def mixer_stack(
    x: Any,
    num_blocks: int,
    ffn: str | Mapping[str, Any],
    ffn_defaults: Mapping[str, Any],
    dtype: Any,
    mixing: str | Mapping[str, Any] = "token_mixing",
    **block: Any,
) -> Any:
    """Applies blocks to `x` (batch, T, D); `**block` as in `MixerBlock`."""
    if num_blocks < 1:
        raise ValueError(f"`num_blocks` must be positive. Received: num_blocks={num_blocks}.")
    for index in range(1, num_blocks + 1):

        def make_ffn(part: str, index: int = index) -> Any:
            return ffn_layer(ffn, {**ffn_defaults, "name": f"block_{index}_{part}"}, dtype)

        mixer_block = MixerBlock(
            make_ffn("network"),
            mixing_layer(mixing, make_ffn, dtype),
            name=f"block_{index}",
            dtype=dtype,
            **block,
        )
        x = mixer_block.ffn(mixer_block.mixer(x))
    return x


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments as JSON can hold them."""
    result = {}
    for name, value in settings.items():
        if isinstance(value, keras.initializers.Initializer):
            value = keras.initializers.serialize(value)
        elif isinstance(value, keras.regularizers.Regularizer):
            value = keras.regularizers.serialize(value)
        elif isinstance(value, tuple | list):
            value = [list(item) if isinstance(item, tuple | list) else item for item in value]
        elif isinstance(value, Mapping):
            value = dict(value)
        result[name] = value
    return result
