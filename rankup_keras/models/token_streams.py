"""Rows of tokens, all together, or those of the user and of the candidate apart."""

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from rankup_keras.layers.mixers import ItemTokenMixing, Residual, TokenMixing, UserTokenMixing
from rankup_keras.layers.mixers.residual import make_norm
from rankup_keras.layers.tokens import SliceTokenizer, TokenAssembly
from rankup_keras.models.embedded_row import EmbeddedRow
from rankup_keras.models.layer_choice import LayerChoice
from rankup_keras.models.stack import SIAMESE, ffn_layer

USER, ITEM, ALL = "user_", "item_", ""
# Tokens by stream: {"": all of them}, or {"user_": ..., "item_": ...}, the user's the first.
Streams = dict[str, Any]


def of_fields(
    row: EmbeddedRow, fields: Mapping[str, Any], counts: Mapping[str, int], width: int
) -> Streams:
    """The fields of every stream, side by side, cut into tokens of a width."""
    streams = {}
    for stream, x in fields.items():
        name = f"{stream}tokenizer"
        tokenizer = SliceTokenizer(counts[stream], width, name=name, dtype=row.dtype)
        streams[stream] = tokenizer(row.drop(x, f"{stream}embedding_dropout"))
    return streams


def assembled(streams: Streams, dtype: Any) -> Streams:
    """Every stream behind the layer that names what enters the first block."""
    return {
        stream: TokenAssembly(name=f"{stream}tokens", dtype=dtype)([x])
        for stream, x in streams.items()
    }


def count(streams: Streams) -> int:
    """The number of tokens of all streams."""
    return sum(x.shape[1] for x in streams.values())


def joined(streams: Streams) -> Any:
    """All tokens (batch, T, D)."""
    parts = list(streams.values())
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)


def each(streams: Streams, make: Callable[[str], Any]) -> Streams:
    """Every stream behind the layer that `make` makes for it, by its name."""
    return {stream: make(stream)(x) for stream, x in streams.items()}


def normed(streams: Streams, norm: str | None, name: str, dtype: Any) -> Streams:
    """Every stream normalized; `name` has a place `{}` for the stream's.

    Each has a layer of its own: Keras cannot cut a graph at one of two calls of a layer.
    """
    if norm is None:
        return streams
    return each(streams, lambda stream: make_norm(norm, 1e-6, dtype, name.format(stream)))


def mixed(streams: Streams, name: str, dtype: Any) -> Streams:
    """Token mixing; with two streams the user's tokens do not see the candidate's."""
    if ALL in streams:
        return {ALL: TokenMixing(name=name, dtype=dtype)(streams[ALL])}
    user, item = streams[USER], streams[ITEM]
    total = count(streams)
    return {
        USER: UserTokenMixing(total, name=f"{name}_user", dtype=dtype)(user),
        ITEM: ItemTokenMixing(name=f"{name}_item", dtype=dtype)(item, user),
    }


def residual_mixing(
    streams: Streams, block: str, dtype: Any, norm: str | None, placement: str = "pre"
) -> Streams:
    """`Mix(norm(X)) + X`, or `norm(Mix(X) + X)`."""
    if ALL in streams:
        mixing = TokenMixing(dtype=dtype)
        layer = Residual(mixing, placement, norm, name=f"{block}_mixer", dtype=dtype)
        return {ALL: layer(streams[ALL])}
    before = (
        normed(streams, norm, f"{block}_{{}}mixer_norm", dtype) if placement == "pre" else streams
    )
    moved = mixed(before, f"{block}_mixing", dtype)
    found = {stream: x + moved[stream] for stream, x in streams.items()}
    return found if placement == "pre" else normed(found, norm, f"{block}_{{}}mixer_norm", dtype)


def shares(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """A number of tokens dealt out to streams by their sizes, one to each at least."""
    if len(sizes) == 1:
        return dict.fromkeys(sizes, total)
    if total < 2:
        raise ValueError(
            "`user_item_mask` needs a token of the user and one of the candidate. "
            f"Received: {total} token."
        )
    own = min(max(1, round(total * sizes[USER] / (sizes[USER] + sizes[ITEM]))), total - 1)
    return {USER: own, ITEM: total - own}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuses what has no masked form."""
    plain = {"mixing": "token_mixing", "inter_residual": 0, "auxiliary_loss": 0}
    wrong = {k: settings[k] for k, value in plain.items() if settings[k] != value}
    wrong |= {"norm": settings["norm"]} if settings["norm"] in SIAMESE else {}
    if wrong:
        raise ValueError(
            "`user_item_mask` needs mixing='token_mixing', of which there is a masked form, one "
            f"stream of norms, and no further residuals or losses. Received: {wrong}."
        )


def masked_stack(
    streams: Streams,
    num_blocks: int,
    ffn: LayerChoice,
    ffn_defaults: Mapping[str, Any],
    dtype: Any,
    **block: Any,
) -> Streams:
    """`mixer_stack` of streams; `**block` are `placement`, `norm` and `dropout` of `MixerBlock`."""
    placement, norm = block["placement"], block["norm"]
    for index in range(1, num_blocks + 1):
        name = f"block_{index}"
        streams = residual_mixing(streams, name, dtype, norm, placement)

        def make(stream: str, name: str = name) -> Any:
            network = ffn_layer(ffn, {**ffn_defaults, "name": f"{name}_{stream}network"}, dtype)
            return Residual(network, name=f"{name}_{stream}ffn", dtype=dtype, **block)

        streams = each(streams, make)
    return streams
