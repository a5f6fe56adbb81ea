"""How attention to events depends on how long ago they were."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.functional_graph import call_of
from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.probe import make_probe
from rankup_keras.features import Events
from rankup_keras.layers.embeddings import TakeChannels
from rankup_keras.layers.sequences import (
    EventAttention,
    HeadAttention,
    MergedEvents,
    TrimPadding,
)

BINS = {
    "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400,
    "year": 365 * 86_400, "longer": math.inf,
}  # fmt: skip
LOG_YEAR = math.log1p(365 * 86_400)


@dataclasses.dataclass(frozen=True)
class AttentionByGap:
    """Attention of a model's layers by the time between event and request.

    Attributes:
        bins: names of the bins, each up to a time: minute, hour, ..., longer.
        attention: layer → share of its attention that each bin gets, mean over
            heads, queries and rows that have events.
        events: layer → share of the events in each bin, which is what attention
            gets that weighs all events alike.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    same = rk.diagnostics.AttentionByGap(
        ["hour", "longer"], {"block_1": np.array([0.8, 0.2])}, {"block_1": np.array([0.1, 0.9])}
    )
    same.plot("attention.png")
    ```
    """

    bins: Sequence[str]
    attention: dict[str, np.ndarray]
    events: dict[str, np.ndarray]

    def panels(self) -> dict[str, plots.Panel]:
        """What to draw, by layer."""

        def bars(name: str) -> plots.Panel:
            def draw(axes: Any) -> None:
                places = np.arange(len(self.bins))
                axes.bar(places - 0.2, self.attention[name], 0.4, label="attention")
                axes.bar(places + 0.2, self.events[name], 0.4, color="0.7", label="events")
                axes.set_xticks(places, self.bins, rotation=45, ha="right")
                axes.legend(frameon=False)

            return draw

        return {name: bars(name) for name in self.attention}

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Writes a picture, a panel per layer."""
        columns = min(3, len(self.attention))
        height = 3.0 * math.ceil(len(self.attention) / columns)
        plots.picture(self.panels(), 3.6 * columns, height, columns).savefig(path)


def attention_by_gap(model: Any, data: Any, samples: int = 256) -> AttentionByGap:
    """Measures how attention to events depends on how long ago they were.

    Args:
        model: a model of this package with `Events` that have times and the time
            feature `"log_gap"`, read by `EventAttention` or `HeadAttention`.
        data: rows, in any form that `EffectiveRank` takes.
        samples: number of rows. Defaults to 256.

    Returns:
        `AttentionByGap`. Attention behind encoders that merge events is left out.

    Raises:
        ValueError: no layer attends to events whose times are known.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("item", num_ids=9),
        rk.Timestamp("now"),
        rk.Events("clicks", {"clicked": "item"}, 5, time="at", request_time="now"),
    ])
    model = rk.MixFormer(features, ["click"], token_dim=8, num_blocks=1)
    rows = {"item": [1, 4], "now": [90_000] * 2, "clicked": [[2, 3], []], "at": [[10, 89_000], []]}
    found = rk.diagnostics.attention_by_gap(model, rows)
    assert found.events["block_1_attention_1"][[1, 3]].tolist() == [0.5, 0.5]
    ```
    """
    readers = {}
    for layer in model.layers:
        if isinstance(layer, EventAttention | HeadAttention):
            gap = _log_gap(model, layer.input[2])
            if gap is not None:
                readers[layer.name] = (layer, gap)
    if not readers:
        raise ValueError(
            "`model` has no layer that attends to events with the time feature 'log_gap'. "
            f"Its layers: {[layer.name for layer in model.layers]}."
        )
    inputs = {name: [*layer.input, gap] for name, (layer, gap) in readers.items()}
    tapped = keras.Model(model.input, inputs)
    sums = {name: np.zeros((2, len(BINS))) for name in readers}
    rows = dict.fromkeys(readers, 0)
    for x in make_probe(model, data, samples).batches:
        for name, (queries, own, present, log_gap) in tapped(x, training=False).items():
            weights = readers[name][0].attention_weights(queries, own, present)
            there = keras.ops.convert_to_numpy(present) > 0
            seconds = np.expm1(keras.ops.convert_to_numpy(log_gap).astype(np.float64) * LOG_YEAR)
            place = np.searchsorted(list(BINS.values()), seconds, side="left")
            paid = keras.ops.convert_to_numpy(weights).astype(np.float64).mean((1, 2))
            alike = there / np.maximum(there.sum(1, keepdims=True), 1)
            # Nothing is paid to padding, whatever bin it is put into.
            for line, shares in enumerate((paid, alike)):
                sums[name][line] += np.bincount(place.ravel(), shares.ravel(), len(BINS))
            rows[name] += int(there.any(1).sum())
    means = {name: total / max(1, rows[name]) for name, total in sums.items()}
    attention, events = ({name: mean[line] for name, mean in means.items()} for line in (0, 1))
    return AttentionByGap(list(BINS), attention, events)


def _log_gap(model: Any, present: Any) -> Any:
    """The logarithms of the gaps of the events whose mask this is; `None` where there are none."""
    inputs = call_of(present).inputs
    if not inputs:
        return None
    if isinstance(call_of(present).operation, MergedEvents):
        gaps = [_log_gap(model, mask) for mask in inputs[len(inputs) // 2 :]]
        return None if any(gap is None for gap in gaps) else keras.ops.concatenate(gaps, axis=1)
    channels = inputs[0]
    made = call_of(channels)
    if isinstance(made.operation, TrimPadding):  # of the channels, which come before their mask
        made = call_of(made.inputs[-2])
    take = made.operation
    if not isinstance(take, TakeChannels):
        return None
    feature = model.features[take.of[0]]
    if not isinstance(feature, Events) or "log_gap" not in feature.channels:
        return None
    return channels[:, :, feature.channels.index("log_gap")]
