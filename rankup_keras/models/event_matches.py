"""What sequences have of the candidate's own values, as tensors of a model."""

import functools
from collections.abc import Mapping
from typing import Any

from rankup_keras.features import Events, FeatureSet
from rankup_keras.layers.embeddings import TakeChannels, TakeColumns
from rankup_keras.layers.sequences import EventMatches


def event_matches(
    features: FeatureSet, inputs: Mapping[str, Any], dtype: Any
) -> list[tuple[str, Any]]:
    """For every column that is compared, the candidate's feature, and numbers (batch, n)."""
    fields = {field.name: field for field in features.fields()}
    found: list[tuple[str, Any]] = []
    of_events = functools.cache(lambda name: _gap_and_numbers(features, inputs, name))
    for match in features.matches():
        ids = []
        for field in (fields[match.of], fields[match.column]):
            place = (field.start, field.start + field.slots)
            ids.append(TakeColumns([place], [field.name])(inputs["encoded_ids"]))
        layer = EventMatches(
            fields[match.of].hashes,
            match.first_known,
            name=f"matches_{1 + len(found)}",
            dtype=dtype,
        )
        found.append((match.of, layer(*ids, *of_events(match.sequence))))
    return found


def _gap_and_numbers(
    features: FeatureSet, inputs: Mapping[str, Any], sequence: str
) -> tuple[Any, Any]:
    """Gaps (batch, L) and numbers (batch, L, C) of events, `None` where they have none."""
    start = 0
    for events in features.of_type(Events):
        names = events.channels
        end = start + events.max_length * len(names)
        if events.name == sequence and len(names) > 1:
            # In float32, whatever the model's policy: a gap of days is little of a year.
            take = TakeChannels([(start, end)], [sequence], len(names), dtype="float32")
            x, count = take(inputs["encoded_events"]), len(events.numbers_and_actions)
            gap = x[:, :, names.index("log_gap")] if "log_gap" in names else None
            return gap, x[:, :, 1 : 1 + count] if count else None
        start = end
    return None, None
