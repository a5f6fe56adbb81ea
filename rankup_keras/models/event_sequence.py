"""Sequences in models: what is known of their events, and what encoders make of them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras.layers.sequences import (
    DINAttention,
    EventAttention,
    EventEmbedding,
    HSTUEncoder,
    LongerEncoder,
    TransformerEncoder,
)
from rankup_keras.layers.tokens import SequencePooling
from rankup_keras.models.layer_choice import kind_and_arguments

ENCODERS: dict[str, type] = {
    "transformer": TransformerEncoder,
    "longer": LongerEncoder,
    "hstu": HSTUEncoder,
}
KINDS = ("mean", "attention", "din", *ENCODERS)
LOG_YEAR = math.log1p(365 * 86_400)


@dataclasses.dataclass(frozen=True)
class EventSequence:
    """Symbolic tensors of one sequence, newest event first.

    Attributes:
        name: the feature's.
        columns: what is known of an event, (batch, L, any width) each.
        mask: (batch, L), 0 at padding.
        candidate: what the candidate has of the same columns (batch, width), or `None`.
        log_gap: (batch, L), see `Events`, or `None`.
    """

    name: str
    columns: list[Any]
    mask: Any
    candidate: Any = None
    log_gap: Any = None

    def embedded(self, units: int, name: str, dtype: Any) -> Any:
        """One vector of each event, (batch, L, units)."""
        layer = EventEmbedding(units, name=f"{name}_events", dtype=dtype)
        return layer(self.columns, self.mask)


def choices_by_sequence(encoder: Any, names: Sequence[str]) -> dict[str, Any]:
    """Sequence → its encoder, of one choice for all or a dict from names to choices."""
    if not isinstance(encoder, Mapping) or "kind" in encoder:
        return dict.fromkeys(names, encoder)
    unknown = sorted(set(encoder) - set(names))
    if unknown:
        raise ValueError(
            f"`sequence_encoder` must name sequences out of {list(names)}, or have a 'kind'. "
            f"Received: {unknown}."
        )
    return {name: encoder.get(name, "mean") for name in names}


def default_heads(units: int) -> int:
    """The largest number of heads up to 4 that divides a width."""
    return max(heads for heads in (1, 2, 3, 4) if units % heads == 0)


def encoded(x: Any, mask: Any, choice: Any, name: str, dtype: Any, log_gap: Any = None) -> Any:
    """Events and mask behind an encoder of `ENCODERS`, which the candidate has no part in."""
    kind, given = kind_and_arguments("sequence_encoder", choice, ENCODERS)
    settings = {"num_heads": default_heads(x.shape[-1]), **given}
    layer = ENCODERS[kind](**settings, name=f"{name}_{kind}", dtype=dtype)
    if kind == "hstu" and log_gap is not None:
        return layer(x, mask, ops.expm1(log_gap * LOG_YEAR))
    return layer(x, mask)


def sequence_vector(sequence: EventSequence, choice: Any, units: int, name: str, dtype: Any) -> Any:
    """A sequence as one vector (batch, units).

    Args:
        sequence: the sequence.
        choice: one of `KINDS`, or a dict with one under "kind" and arguments of its layer.
        units: width of events and of the vector.
        name: what the names of its layers begin with.
        dtype: dtype policy.
    """
    kind, given = kind_and_arguments("sequence_encoder", choice, KINDS)
    candidate = sequence.candidate
    if candidate is None and kind in ("attention", "din"):
        raise ValueError(
            f"`sequence_encoder` {kind!r} of sequence {sequence.name!r} needs a candidate: a "
            "column of ids that reads the table of a feature that is not the user's."
        )
    x, mask = sequence.embedded(units, name, dtype), sequence.mask
    if kind == "din":
        return DINAttention(**given, name=f"{name}_din", dtype=dtype)(x, mask, candidate)
    if kind in ENCODERS:
        x, mask = encoded(x, mask, choice, name, dtype, sequence.log_gap)
    if kind == "mean" or candidate is None:
        return SequencePooling(name=f"{name}_pooling", dtype=dtype)(x, mask)
    query = keras.layers.Dense(units, name=f"{name}_query", dtype=dtype)(candidate)
    given = given if kind == "attention" else {}
    settings = {"num_heads": default_heads(units), **given}
    layer = EventAttention(**settings, name=f"{name}_attention", dtype=dtype)
    return ops.reshape(layer(ops.expand_dims(query, 1), x, mask), (-1, units))
