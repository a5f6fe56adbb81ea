"""The stacks of layers in the middle of models, each layer one of the model's graph."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras.layers.mixers import (
    FullMixing,
    GramMixing,
    MixAndRevert,
    MixerBlock,
    PerTokenFFN,
    PerTokenGLU,
    PerTokenGLUStack,
    PerTokenMoE,
    PerTokenSwiGLU,
    PerTokenTopKMoE,
    SiameseResidual,
    SiameseSum,
    TokenAttention,
    TokenMixing,
    UniMixing,
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
    "sparse_moe": (PerTokenTopKMoE, {}),
}
# Arguments without a default, as an example.
NEEDED = {"moe": {"num_experts": 8}, "sparse_moe": {"num_experts": 8, "num_active": 2}}
# Norms of two streams: around each half of a block, or around blocks.
SIAMESE = ("siamese", "siamese_blocks")
MIXINGS: dict[str, type] = {
    "token_mixing": TokenMixing,
    "mix_and_revert": MixAndRevert,
    "tokenmixer_large": MixAndRevert,
    "full_mixing": FullMixing,
    "unimixing": UniMixing,
    "token_attention": TokenAttention,
    "gram_mixing": GramMixing,
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
    needed = NEEDED.get(kind, {})
    if not needed.keys() <= given.keys():
        raise ValueError(
            f"`ffn` of kind {kind!r} must be a dict that gives {' and '.join(needed)}, such as "
            f"{json.dumps({'kind': kind, **needed})}. Received: ffn={ffn!r}."
        )
    if kind in ("glu_stack", "moe", "sparse_moe"):
        defaults = {key: value for key, value in defaults.items() if key != "down_scale"}
    return layer_class(**{**defaults, **settings, **given, "dtype": dtype})


def needs_divisor(mixing: LayerChoice) -> bool:
    """Whether the number of tokens must divide their width: only where heads are tokens."""
    if is_own_layer(mixing):
        layer = own_layer("mixing", mixing, "mixing", keras.config.dtype_policy())
        if isinstance(layer, UniMixing):
            return layer.block is None
        return isinstance(layer, TokenMixing | MixAndRevert) and layer.num_heads is None
    kind, given = kind_and_arguments("mixing", mixing, MIXINGS)
    if kind == "unimixing":
        return given.get("block") is None
    reverting = MIXINGS[kind] is MixAndRevert
    return kind == "token_mixing" or (reverting and given.get("num_heads") is None)


def mixing_layer(mixing: LayerChoice, make_ffn: Any, name: str, dtype: Any, **block: Any) -> Any:
    """A mixing, chosen as `ffn` is.

    Args:
        mixing: the choice.
        make_ffn: function of a part's name that makes the network for mixed tokens.
        name: name of a layer that is the user's.
        dtype: dtype policy.
        **block: settings of the block.
    """
    if is_own_layer(mixing):
        return own_layer("mixing", mixing, name, dtype)
    kind, given = kind_and_arguments("mixing", mixing, MIXINGS)
    layer: Any = MIXINGS[kind]
    if kind == "tokenmixer_large":
        paper: dict[str, Any] = {"residual": "input", "norm_on": "mixed"}
        own: dict[str, Any] = {k: block[k] for k in ("placement", "dropout") if k in block}
        given = {**paper, "norm": plain_norm(block.get("norm")), **own, **given}
    if layer is MixAndRevert:
        given = {"ffn": make_ffn("mixed"), **given}
    return layer(**given, dtype=dtype)


def plain_norm(norm: str | None) -> str | None:
    """The norm of a single stream that goes with the norm of a stack."""
    return "layer_norm" if norm in SIAMESE else norm


def mixer_stack(
    x: Any,
    num_blocks: int,
    ffn: LayerChoice,
    ffn_defaults: Mapping[str, Any],
    dtype: Any,
    mixing: LayerChoice = "token_mixing",
    inter_residual: int = 0,
    lower: list[Any] | None = None,
    **block: Any,
) -> Any:
    """Applies blocks to `x` (batch, T, D).

    Args:
        x: symbolic tokens.
        num_blocks: L.
        ffn: the network, see `ffn_layer`.
        ffn_defaults: see `ffn_layer`.
        dtype: dtype policy.
        mixing: the mixing, see `mixing_layer`.
        inter_residual: s, as in `RankUp`.
        lower: list to which outputs of lower blocks are added: of every s-th, or of all.
        **block: as in `MixerBlock`; with a norm of `SIAMESE` two streams take the place of blocks.
    """
    if num_blocks < 1:
        raise ValueError(f"`num_blocks` must be positive. Received: num_blocks={num_blocks}.")
    norm = block.get("norm")
    siamese = norm in SIAMESE
    if inter_residual < 0 or (siamese and inter_residual):
        raise ValueError(
            "`inter_residual` must be a number of blocks, or 0 for none, as norm='siamese' asks. "
            f"Received: inter_residual={inter_residual}, norm={norm!r}."
        )
    outputs, streams = [x], (x, x)
    if siamese:
        x = SiameseSum(name="siamese_tokens", dtype=dtype)(*streams)
    for index in range(1, num_blocks + 1):

        def make_ffn(part: str, index: int = index) -> Any:
            return ffn_layer(ffn, {**ffn_defaults, "name": f"block_{index}_{part}"}, dtype)

        network = make_ffn("network")
        mixer = mixing_layer(mixing, make_ffn, f"block_{index}_mixing", dtype, **block)
        for argument, choice, layer in (("mixing", mixing, mixer), ("ffn", ffn, network)):
            if is_own_layer(choice):
                _must_keep_shape(argument, layer, x.shape)
        name = f"block_{index}"
        if siamese:
            if norm == "siamese":
                parts = {"mixer": mixer, "ffn": network}
            else:
                parts = {"ffn": keras.Sequential([mixer, network], name=f"{name}_layers")}
            _must_have_no_residual(mixer)
            x, streams = _siamese(name, parts, x, streams, block.get("dropout", 0.0), dtype)
        else:
            x = MixerBlock(network, mixer, name=name, dtype=dtype, **block).chain(x)
        if inter_residual and index % inter_residual == 0 and index < num_blocks:
            name = f"inter_residual_{index}"
            x = keras.layers.Add(name=name, dtype=dtype)([x, outputs[index - inter_residual]])
        outputs.append(x)
    if lower is not None:
        step = inter_residual or 1
        lower.extend(outputs[step:-1:step])
    return x


def _must_have_no_residual(mixer: Any) -> None:
    if getattr(mixer, "adds_input", False) or getattr(mixer, "skips_to_input", False):
        raise ValueError(
            "norm='siamese' has residual connections of its own, and so has this mixing. "
            f"Received: {type(mixer).__name__} with residual={mixer.residual!r}, "
            f"norm_on={mixer.norm_on!r}. Use its defaults, or another norm."
        )


def _siamese(
    name: str, parts: Mapping[str, Any], x: Any, streams: Any, dropout: float, dtype: Any
) -> tuple[Any, Any]:
    """One block on two streams: what the next one reads, and the streams."""
    for part, layer in parts.items():
        residual = SiameseResidual(
            layer, dropout=dropout, name=f"{name}_{part}_streams", dtype=dtype
        )
        streams = residual(x, *streams)
        # What the next layer reads is what the rank of this one is taken of.
        x = SiameseSum(name=f"{name}_{part}", dtype=dtype)(*streams)
    return x, streams


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
