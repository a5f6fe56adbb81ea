"""The preprocessing graph of events: which are seen, in which order, and what their times tell."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features import encoding
from rankup_keras.features.events import Events
from rankup_keras.features.instants import UNITS
from rankup_keras.features.timestamp import Timestamp

DAY = 86_400
YEAR = 365 * DAY
# Seconds of the year 5138: what is above counts something shorter.
LATEST = 10**11


def encode_events(
    feature: Events,
    request: Timestamp | None,
    ids: Sequence[tf.Tensor],
    actions: Sequence[tf.Tensor],
    numbers: Sequence[tf.Tensor],
    moments: np.ndarray,
    times: tf.Tensor | None,
    now: tf.Tensor | None,
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Lists of any width → the newest events before the request.

    Args:
        feature: the events.
        request: the time of the request, if the events have times.
        ids: of every column, int32 (batch, width), or (batch, width, hashes).
        actions: int64 (batch, width) each.
        numbers: float32 (batch, width) each.
        moments: (numbers, 2), mean and standard deviation of each.
        times: int64 (batch, width), -1 where unknown.
        now: int64 (batch,), -1 where unknown.

    Returns:
        The id slots, int32 (batch, length * hashes) per field; the channels, float32 (batch,
        length * channels); and int64 (2,): how many events there were, and how many of them were
        not known to be before the request.
    """
    firsts = [x if x.shape.rank == 2 else x[:, :, 0] for x in ids]
    present = tf.reduce_any(tf.stack([x > 0 for x in firsts]), axis=0)
    seen = present
    if times is not None and now is not None and request is not None:
        known = tf.not_equal(times, -1)
        present = present | known
        seen = known & (times < now[:, None])
        times = _checked_times(feature, request, times, known)
        now = check_unit(request.name, request, now[:, None])[:, 0]
    length = feature.max_length
    taken = _places(seen, times, feature.order, length)
    mask = taken < tf.shape(present)[1]
    slots = [_take(x, taken, 0) for x in ids]
    channels = [tf.cast(mask, tf.float32)[:, :, None]]
    if numbers:
        values = tf.stack([_take(x, taken, math.nan) for x in numbers], axis=-1)
        channels.append(
            encoding.encode_numeric(values, feature.scaled, moments[:, 0], moments[:, 1])
        )
    for count, bits in zip(feature.actions.values(), actions, strict=True):
        own = _take(bits, taken, 0)
        own = tf.where(own == -1, tf.zeros_like(own), own)[:, :, None]
        set_bits = tf.bitwise.right_shift(own, np.arange(count)) & 1
        channels.append(tf.cast(set_bits, tf.float32))
    if times is not None and now is not None and request is not None:
        of_time, gaps = _time_channels(feature, request, _take(times, taken, 0), now, mask)
        channels += of_time
        slots += [gaps] if feature.gap else []
    counts = [tf.math.count_nonzero(x) for x in (present, present & ~seen)]
    joined = tf.concat(channels, axis=2)
    return (
        [_flat_slots(x, length) for x in slots],
        tf.reshape(joined, (-1, length * joined.shape[2])),
        tf.stack(counts),
    )


def cycles(seconds: tf.Tensor, names: Sequence[str], known: tf.Tensor) -> tf.Tensor:
    """Sine and cosine of the hour and the weekday of int64 seconds, along a new last axis."""
    parts = []
    for name in names:
        if name == "hour":
            turn = tf.cast(tf.math.floormod(seconds, DAY), tf.float32) / DAY
        else:  # 1970 began on a Thursday
            turn = tf.cast(tf.math.floormod(tf.math.floordiv(seconds, DAY) + 3, 7), tf.float32) / 7
        parts += [tf.sin(2 * math.pi * turn), tf.cos(2 * math.pi * turn)]
    return tf.stack(parts, axis=-1) * tf.cast(known, tf.float32)[..., None]


def request_cycles(feature: Timestamp, times: tf.Tensor) -> tf.Tensor:
    """The columns of `encoded_numeric` of a `Timestamp`: (batch, 2 * cycles) of int64 (batch,)."""
    times = check_unit(feature.name, feature, times[:, None])[:, 0]
    return cycles(_local_seconds(feature, times), feature.cycles, tf.not_equal(times, -1))


def _local_seconds(request: Timestamp, times: tf.Tensor) -> tf.Tensor:
    seconds = tf.math.floordiv(times, UNITS[request.unit])
    return seconds + round(request.utc_offset * 3600)


def _time_channels(
    feature: Events, request: Timestamp, times: tf.Tensor, now: tf.Tensor, mask: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The channels of the times (batch, length), newest first, and the buckets of the gaps."""
    unit = UNITS[request.unit]
    gap = tf.cast(now[:, None] - times, tf.float32) / unit
    older = tf.concat([times[:, 1:], times[:, -1:]], axis=1)
    has_older = tf.concat([mask[:, 1:], tf.zeros_like(mask[:, :1])], axis=1)
    step = tf.where(has_older, tf.cast(times - older, tf.float32) / unit, 0.0)
    channels = []
    for name in feature.time_features:
        if name in ("log_gap", "log_step"):
            value = tf.math.log1p(gap if name == "log_gap" else step) / math.log1p(YEAR)
            channels.append(tf.where(mask, value, 0.0)[:, :, None])
        elif name != "bucket":
            channels.append(cycles(_local_seconds(request, times), [name], mask))
    edges = np.geomspace(5, YEAR, feature.time_buckets - 1).astype(np.float32)
    buckets = 1 + tf.searchsorted(edges, tf.reshape(gap, (-1,)), side="right")
    return channels, tf.where(mask, tf.reshape(buckets, tf.shape(gap)), 0)


def _places(seen: tf.Tensor, times: tf.Tensor | None, order: str, length: int) -> tf.Tensor:
    """Places (batch, length) of the newest seen events, newest first; the width where none is."""
    rows, width = tf.shape(seen)[0], tf.shape(seen)[1]
    places = tf.broadcast_to(tf.range(width), tf.shape(seen))
    if order != "newest_first":
        places, seen = places[:, ::-1], seen[:, ::-1]
    if order == "unordered" and times is not None:
        by_time = tf.argsort(times[:, ::-1], axis=1, direction="DESCENDING", stable=True)
        places = tf.gather(places, by_time, batch_dims=1)
        seen = tf.gather(seen, by_time, batch_dims=1)
    position = tf.cumsum(tf.cast(seen, tf.int32), axis=1) - 1
    # The slot behind the last one collects what is left out.
    slot = tf.where(seen & (position < length), position, length)
    indices = tf.stack([tf.broadcast_to(tf.range(rows)[:, None], tf.shape(slot)), slot], axis=-1)
    taken = tf.tensor_scatter_nd_update(tf.fill((rows, length + 1), width), indices, places)
    return tf.ensure_shape(taken[:, :length], (None, length))


def _take(x: tf.Tensor, places: tf.Tensor, padding: Any) -> tf.Tensor:
    behind = [[0, 0], [0, 1]] + [[0, 0]] * (x.shape.rank - 2)
    return tf.gather(tf.pad(x, behind, constant_values=padding), places, batch_dims=1)


def _flat_slots(ids: tf.Tensor, length: int) -> tf.Tensor:
    """The ids of several hash functions one function's after the other's."""
    if ids.shape.rank == 2:
        return tf.cast(ids, tf.int32)
    return tf.reshape(tf.transpose(ids, (0, 2, 1)), (-1, length * ids.shape[2]))


# Checks: they are in the graph, so that a request is checked as training rows are.


def check_widths(feature: Events, columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The columns again, behind a check that their lists are equally wide."""
    names = list(columns)
    widths = tf.stack([tf.shape(columns[name])[1] for name in names])

    def told() -> list[Any]:
        of = ", ".join(names)
        return [
            f"The lists of events '{feature.name}' must be equally long. Received widths of {of}: ",
            tf.strings.reduce_join(tf.as_string(widths), separator=", "),
            ".",
        ]

    with tf.control_dependencies([_require(tf.reduce_all(widths == widths[0]), told)]):
        return {name: tf.identity(columns[name]) for name in names}


def check_unit(column: str, request: Timestamp, times: tf.Tensor) -> tf.Tensor:
    """Times (batch, width), behind a check that they can be of the declared unit."""
    unit = UNITS[request.unit]
    # What is below would count something longer: 10^11 milliseconds is the year 1973.
    early = times < (0 if unit == 1 else LATEST * unit // 1000)
    late = times >= min(LATEST * unit, np.iinfo(np.int64).max)
    wrong = tf.not_equal(times, -1) & (early | late)

    def told() -> list[Any]:
        worst = tf.boolean_mask(times, wrong)[0]
        declared = f"'{request.unit}' since 1970, the unit of Timestamp '{request.name}'"
        return [
            f"Times in column '{column}' do not look like {declared}. Received: ",
            tf.as_string(worst),
            ". Give `unit` as the data has it: s, ms, us or ns.",
        ]

    with tf.control_dependencies([_require(~tf.reduce_any(wrong), told)]):
        return tf.identity(times)


def _checked_times(
    feature: Events, request: Timestamp, times: tf.Tensor, known: tf.Tensor
) -> tf.Tensor:
    times = check_unit(feature.time or "", request, times)
    if feature.order == "unordered":
        return times
    first, second = times[:, :-1], times[:, 1:]
    wrong = first > second if feature.order == "oldest_first" else first < second
    wrong &= known[:, :-1] & known[:, 1:]

    def told() -> list[Any]:
        at = tf.where(wrong)[0]
        times_of = f"events '{feature.name}' (column '{feature.time}')"
        return [
            f"Times of {times_of} are not in the declared order, {feature.order}. Received in row ",
            tf.as_string(at[0]),
            ": ",
            tf.as_string(tf.gather_nd(first, at)),
            " before ",
            tf.as_string(tf.gather_nd(second, at)),
            ". Declare `order` as the data has it, or order='unordered' to sort by time.",
        ]

    with tf.control_dependencies([_require(~tf.reduce_any(wrong), told)]):
        return tf.identity(times)


def _require(fine: tf.Tensor, told: Callable[[], list[Any]]) -> tf.Tensor:
    def report() -> tf.Tensor:
        tf.debugging.Assert(False, [tf.strings.join(told())])
        return tf.constant(False)

    return tf.cond(fine, lambda: tf.constant(True), report)
