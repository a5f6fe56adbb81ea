"""Vocabularies that follow the data: values come, keep their ids, and go."""

import dataclasses
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature_set import FeatureSet
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.statistics import Learner, Moments
from rankup_keras.features.target import Target
from rankup_keras.features.value_counts import write_vocabulary

COUNTS = pa.schema([("feature", pa.string()), ("value", pa.string()), ("count", pa.int64())])
LEDGER = pa.schema(
    [
        ("feature", pa.string()),
        ("value", pa.string()),
        ("count", pa.float64()),
        ("last_seen", pa.int32()),
    ]
)


@dataclasses.dataclass
class Grown:
    """What `grow` made of a feature set and a day's values.

    Attributes:
        features: the grown `FeatureSet`, for a new model.
        ledger: pyarrow table (feature, value, count, last_seen) for the next day's call.
        changes: feature → numbers of values `kept`, `added` and `evicted`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("ad")]).adapt({"ad": ["a", "b"]})
    grown = rk.features.grow(features, {"ad": ["b", "c"]}, day=1)
    print(grown)  # ad: 2 kept, 1 added, 0 evicted
    ```
    """

    features: FeatureSet
    ledger: pa.Table
    changes: dict[str, dict[str, int]]

    def __str__(self) -> str:
        return "\n".join(
            f"{name}: " + ", ".join(f"{number:,} {kind}" for kind, number in change.items())
            for name, change in self.changes.items()
        )


def count_values(features: FeatureSet, data: Any) -> pa.Table:
    """Counts the values of all features that have a vocabulary.

    A mergeable sum: the counts of several workers' rows, concatenated, are the counts of all
    rows. Spark, Beam or SQL can write the same table to Parquet, integers as decimal text.

    Args:
        features: the feature set.
        data: rows, in any of the forms that `FeatureSet.adapt` takes.

    Returns:
        A pyarrow table of `feature` (string), `value` (string) and `count` (int64).

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b", "a"]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(rows)
    print(rk.features.count_values(features, rows).to_pylist())
    ```
    """
    return _learned(features, data)[0]


def grow(
    features: FeatureSet,
    data: Any,
    ledger: pa.Table | None = None,
    *,
    day: int,
    min_count: float = 1,
    decay: float = 1.0,
    evict_after: int | None = None,
    evict_below: float = 0.0,
    moments_window: float | None = None,
    fixed: Sequence[str] = (),
    into: FeatureSet | None = None,
) -> Grown:
    """Counts a day's values into the vocabularies of a feature set.

    A value's count is `c ← decay · c + today's`. Values that the vocabulary has keep their ids.
    Values that are evicted leave it, and new ones take their ids, the most frequent first; the
    others are appended. Where more values go than come, the last values move into the free ids,
    so that `warm_start` moves rows by value and never relies on ids. Everything is deterministic:
    ties are decided by the value.

    Hashed features and integer ids have no vocabulary and stay as they are: their tables hold
    every value from the start.

    Args:
        features: the feature set of yesterday's model. It stays as it is.
        data: today's rows, in any of the forms that `FeatureSet.adapt` takes, a table of counts
            (see `count_values`), the path of a Parquet file of counts, or a list of tables and
            paths, whose counts are summed.
        ledger: the `ledger` of the last call. Without one, every value of the vocabulary counts
            as seen `min_count` times on this day.
        day: int. Number of the day, or of the hour, that `evict_after` counts in.
        min_count: a new value is admitted once its count has reached this. Defaults to 1.
        decay: float in (0, 1], what a day leaves of a count. Defaults to 1.
        evict_after: int. Days after which an unseen value goes. Defaults to never.
        evict_below: float. Values with a smaller count go. Defaults to 0, none.
        moments_window: float, at least 1. Means and variances of numbers move by
            `1 / moments_window` toward today's; `None` (default) keeps them. It needs rows, since
            counts say nothing of numbers.
        fixed: names of features whose vocabularies stay as they are.
        into: a new `FeatureSet`, which declares features that were added and leaves out others.
            What `features` do not have is learned from `data`, which must be rows. Defaults to
            a copy of `features`.

    Returns:
        `Grown`. `max_tokens` of a feature stays its limit: the most frequent values stay.

    Raises:
        ValueError: an argument out of range, a vocabulary that would be empty, counts of other
            columns, or features that have learned nothing yet.

    Example:

    ```python
    import rankup_keras as rk

    monday = {"ad": ["a", "b", "a"]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(monday)
    grown = rk.features.grow(features, {"ad": ["b", "c"]}, day=1, evict_after=30)
    print(grown.features.lookups["ad"].vocabulary())  # ['a', 'b', 'c']
    tuesday = rk.features.grow(grown.features, {"ad": ["d"]}, grown.ledger, day=2, evict_after=30)
    ```
    """
    _check(features, min_count, decay, evict_after, evict_below, moments_window, fixed)
    counts, moments = _today(features, data, moments_window)
    ledger = LEDGER.empty_table() if ledger is None else ledger.select(LEDGER.names).cast(LEDGER)
    changes, parts = {}, []
    grown = FeatureSet.from_config(features.get_config()) if into is None else into.adapt(data)
    with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
        vocabularies, dtypes = {}, {}
        for number, (name, lookup) in enumerate(features.lookups.items()):
            if name not in grown.lookups:
                continue
            known = pa.array(lookup.vocabulary(), pa.string())
            values = known
            if name not in fixed:
                feature: Any = features[name]
                book = _Book(known, _of(ledger, name), day, min_count)
                book.add(_of(counts, name), decay)
                alive = book.alive(evict_after, evict_below, min_count, feature.max_tokens)
                values, changes[name] = book.placed(alive)
                if not len(values):
                    raise ValueError(
                        f"No value of feature {name!r} would stay in its vocabulary. Evict later: "
                        f"Received: evict_after={evict_after}, evict_below={evict_below}."
                    )
                parts.append(book.ledger(name, values, evict_after))
            path = Path(folder) / f"{number}.txt"
            write_vocabulary(pa.chunked_array([values.cast(pa.binary())]), path)
            vocabularies[name], dtypes[name] = path, lookup.dtype_in
        moments = {name: pair for name, pair in moments.items() if name in grown}
        grown.set_statistics(vocabularies, moments, dtypes)
    return Grown(grown, pa.concat_tables([LEDGER.empty_table(), *parts]), changes)


class _Book:
    """Counts of one feature's values: those of the vocabulary, in order, then candidates."""

    def __init__(self, known: pa.Array, ledger: pa.Table, day: int, min_count: float) -> None:
        found = pc.index_in(known, ledger["value"].combine_chunks())
        at, noted = found.fill_null(0).to_numpy(), found.is_valid().to_numpy(False)
        candidates = pc.invert(pc.is_in(ledger["value"], known)).combine_chunks()
        self.known, self.day = len(known), day
        self.values = pa.concat_arrays([known, ledger["value"].combine_chunks().filter(candidates)])
        beyond = candidates.to_numpy(False)
        count, seen = ledger["count"].to_numpy(), ledger["last_seen"].to_numpy()
        if not len(ledger):
            count, seen = np.zeros(1), np.zeros(1, np.int32)
            beyond = np.zeros(1, bool)
        self.count = np.concatenate([np.where(noted, count[at], min_count), count[beyond]])
        self.seen = np.concatenate([np.where(noted, seen[at], day), seen[beyond]])

    def add(self, today: pa.Table, decay: float) -> None:
        """Takes today's counts, values unique or not."""
        summed = today.group_by("value", use_threads=False).aggregate([("count", "sum")])
        values, counts = summed["value"].combine_chunks(), summed["count_sum"].to_numpy()
        at = pc.index_in(values, self.values)
        old = at.is_valid().to_numpy(False)
        self.count *= decay
        places = at.drop_null().to_numpy()
        self.count[places] += counts[old]
        self.seen[places] = self.day
        self.values = pa.concat_arrays([self.values, values.filter(pc.is_null(at))])
        self.count = np.concatenate([self.count, counts[~old].astype(np.float64)])
        self.seen = np.concatenate([self.seen, np.full((~old).sum(), self.day)])

    def alive(
        self, evict_after: int | None, evict_below: float, min_count: float, limit: int | None
    ) -> np.ndarray:
        """Which values the vocabulary has from now on."""
        alive = self.count >= evict_below
        if evict_after is not None:
            alive &= self.day - self.seen <= evict_after
        alive[self.known :] &= self.count[self.known :] >= min_count
        if limit is not None and alive.sum() > limit:
            order = self._by_count(np.flatnonzero(alive))
            alive[order[limit:]] = False
        return alive

    def _by_count(self, places: np.ndarray) -> np.ndarray:
        """Places by falling count; of equal ones the vocabulary's first, then by value."""
        table = pa.table(
            {
                "count": self.count[places],
                "new": places >= self.known,
                "value": self.values.take(pa.array(places)),
            }
        )
        keys = [("count", "descending"), ("new", "ascending"), ("value", "ascending")]
        return places[pc.sort_indices(table, keys).to_numpy()]

    def placed(self, alive: np.ndarray) -> tuple[pa.Array, dict[str, int]]:
        """The vocabulary in the order of its ids, and what changed."""
        old, places = alive[: self.known], np.arange(self.known)
        new = self._by_count(np.flatnonzero(alive[self.known :]) + self.known)
        free = np.flatnonzero(~old)
        filled = min(len(free), len(new))
        places[free[:filled]] = new[:filled]
        places = np.concatenate([places, new[filled:]])
        holes = free[filled:]
        if len(holes):
            stay = np.setdiff1d(np.arange(self.known), holes)
            size = len(stay)
            low, movers = holes[holes < size], stay[stay >= size]
            places[low] = places[movers]
            places = places[:size]
        change = {"kept": int(old.sum()), "added": len(new), "evicted": len(free)}
        return self.values.take(pa.array(places)), change

    def ledger(self, name: str, vocabulary: pa.Array, evict_after: int | None) -> pa.Table:
        """What the next day needs: the vocabulary's values, and candidates that are not too old."""
        fresh = np.ones(len(self.values), bool)
        if evict_after is not None:
            fresh = self.day - self.seen <= evict_after
        kept = pc.or_(pc.is_in(self.values, vocabulary), pa.array(fresh))
        columns = [
            self.values.filter(kept),
            pa.array(self.count).filter(kept),
            pa.array(self.seen.astype(np.int32)).filter(kept),
        ]
        names = pa.array([name]).take(pa.array(np.zeros(len(columns[0]), np.int64)))
        return pa.Table.from_arrays([names, *columns], schema=LEDGER)


def _of(table: pa.Table, name: str) -> pa.Table:
    return table.filter(pc.equal(table["feature"], name))


def _today(
    features: FeatureSet, data: Any, window: float | None
) -> tuple[pa.Table, dict[str, tuple[float, float]]]:
    """Today's counts, and the moments from now on."""
    tables = data if isinstance(data, list) else [data]
    if not all(isinstance(t, str | os.PathLike) or _holds_counts(t) for t in tables):
        counts, moments = _learned(features, data)
        return counts, _moved(features, moments, window)
    if window is not None:
        raise ValueError(
            "`moments_window` needs today's rows: counts say nothing of numbers. "
            f"Received: moments_window={window} and counts."
        )
    parts = []
    for table in tables:
        table = table if isinstance(table, pa.Table) else pq.read_table(table)
        if not _holds_counts(table):
            raise ValueError(
                f"Counts must have the columns {COUNTS.names}. Received: {table.column_names}."
            )
        parts.append(table.select(COUNTS.names).cast(COUNTS))
    counts = pa.concat_tables([COUNTS.empty_table(), *parts])
    unknown = set(pc.unique(counts["feature"]).to_pylist()) - set(features.lookups)
    if unknown:
        raise ValueError(
            f"Counts must be of features with a vocabulary, {sorted(features.lookups)}. "
            f"Received: {sorted(unknown)}."
        )
    return counts, {}


def _holds_counts(table: Any) -> bool:
    return isinstance(table, pa.Table) and set(COUNTS.names) <= set(table.column_names)


def _learned(features: FeatureSet, data: Any) -> tuple[pa.Table, dict[str, Moments]]:
    spec = features.raw_spec()
    # Copies that learn, of features whose vocabulary was given too.
    learning = [
        Categorical.from_config({**f.get_config(), "vocabulary": None, "min_count": 1})
        if isinstance(f, Categorical) and f.uses_vocabulary
        else f
        for f in features.features
        if isinstance(f, Categorical | Numeric)
    ]
    targets = {f.name: Target.of_spec(spec[f.name], None) for f in learning}
    with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
        learner = Learner(learning, targets, Path(folder))
        learner.learn(data)
        parts = []
        for name, counter in learner.counts.items():
            found = counter.result(name)
            names = pa.array([name] * found.num_rows, pa.string())
            values = found["value"].cast(pa.string())
            parts.append(pa.table([names, values, found["count"]], schema=COUNTS))
    return pa.concat_tables([COUNTS.empty_table(), *parts]), learner.moments


def _moved(
    features: FeatureSet, today: Mapping[str, Moments], window: float | None
) -> dict[str, tuple[float, float]]:
    """Moments moved toward today's, `m ← m + (m' - m) / window` of mean and mean square."""
    old = {n: tuple(pair) for n, pair in features.get_config()["learned"]["moments"].items()}
    if window is None:
        return old
    moved = dict(old)
    for name, (mean, deviation) in old.items():
        if today[name].count:
            new_mean, new_deviation = today[name].statistics()
            step = (new_mean - mean) / window
            square = deviation**2 + (new_deviation**2 - deviation**2) / window
            square += (new_mean - mean) ** 2 * (1 / window) * (1 - 1 / window)
            moved[name] = (mean + step, math.sqrt(square))
    return moved


def _check(
    features: FeatureSet,
    min_count: float,
    decay: float,
    evict_after: int | None,
    evict_below: float,
    window: float | None,
    fixed: Sequence[str],
) -> None:
    if not features.is_adapted:
        raise ValueError("`features` have learned nothing yet: there is nothing to grow.")
    for name, value, fine, what in (
        ("min_count", min_count, min_count > 0, "above 0"),
        ("decay", decay, 0 < decay <= 1, "in (0, 1]"),
        ("evict_after", evict_after, evict_after is None or evict_after >= 1, "at least 1"),
        ("evict_below", evict_below, evict_below >= 0, "0 or more"),
        ("moments_window", window, window is None or window >= 1, "at least 1"),
    ):
        if not fine:
            raise ValueError(f"`{name}` must be {what}. Received: {name}={value}.")
    unknown = sorted(set(fixed) - set(features.lookups))
    if unknown:
        raise ValueError(
            f"`fixed` must name features with a vocabulary, {sorted(features.lookups)}. "
            f"Received: {unknown}."
        )
