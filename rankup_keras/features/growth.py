"""Vocabularies that follow the data: values come, keep their ids, and go."""

import dataclasses
import math
import numbers
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature
from rankup_keras.features.feature_set import FeatureSet
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.statistics import Learner, Moments
from rankup_keras.features.value_book import LEDGER, ValueBook
from rankup_keras.features.value_counts import one_line_of_text, write_vocabulary

COUNTS = pa.schema([("feature", pa.string()), ("value", pa.string()), ("count", pa.int64())])


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
    ledger: pa.Table | str | os.PathLike[str] | None = None,
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
        ledger: the `ledger` of the last call, or the path of the Parquet file that it was written
            to. Without one, every value of the vocabulary counts
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
    ledger = _checked_ledger(ledger, day)
    changes, parts = {}, []
    grown = FeatureSet.from_config(features.get_config()) if into is None else into.adapt(data)
    with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
        vocabularies, dtypes = {}, {}
        owners = {f.name: f for f in grown.leaves(Categorical) if f.learns_vocabulary}

        def placed(name: str, known: pa.Array) -> pa.Array:
            """The vocabulary of a feature from now on; what it is made of is gone afterwards."""
            if name in fixed:
                return known
            feature: Any = owners[name]
            book = ValueBook(known, _of(ledger, name), day, min_count)
            book.add(_of(counts, name), decay)
            alive = book.alive(evict_after, evict_below, min_count, feature.max_tokens)
            values, changes[name] = book.placed(alive)
            if not len(values):
                raise ValueError(
                    f"No value of feature {name!r} would stay in its vocabulary. Evict later: "
                    f"Received: evict_after={evict_after}, evict_below={evict_below}."
                )
            parts.append(book.ledger(name, values, evict_after))
            return values

        for number, (name, lookup) in enumerate(features.lookups.items()):
            if name in owners:
                vocabularies[name], dtypes[name] = Path(folder) / f"{number}.txt", lookup.dtype_in
                write_vocabulary(placed(name, lookup.values()), vocabularies[name])
        moments = {f.name: moments[f.name] for f in grown.leaves(Numeric) if f.name in moments}
        pa.default_memory_pool().release_unused()
        grown.set_statistics(vocabularies, moments, dtypes)
    return Grown(grown, pa.concat_tables([LEDGER.empty_table(), *parts]), changes)


def _of(table: pa.Table, name: str) -> pa.Table:
    own = pc.equal(table["feature"], name)
    return table if pc.all(own).as_py() else table.filter(own)


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
    if counts["count"].null_count or (pc.min(counts["count"]).as_py() or 0) < 0:
        raise ValueError(
            "Counts must be whole numbers, 0 or more. Received nulls or negative ones."
        )
    counts = counts.filter(pc.not_equal(pc.fill_null(counts["value"], ""), ""))
    good = pa.array(one_line_of_text(counts["value"].cast(pa.binary())))
    if good.true_count < len(good):
        warnings.warn(
            f"{len(good) - good.true_count} counts are of values with a line break, which no "
            "vocabulary holds: they count as unknown.",
            stacklevel=3,
        )
        counts = counts.filter(good)
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
    described = features.targets()
    # Copies that learn, of features whose vocabulary was given too.
    learning = [
        Categorical.from_config({**f.get_config(), "vocabulary": None, "min_count": 1})
        if isinstance(f, Categorical) and f.uses_vocabulary
        else f
        for f in features.leaves(Feature)
        if isinstance(f, Categorical | Numeric)
    ]
    targets = {f.name: dataclasses.replace(described[f.name], num_ids=None) for f in learning}
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
            new_mean = today[name].mean
            new_deviation = math.sqrt(today[name].squares / today[name].count)
            step = (new_mean - mean) / window
            square = deviation**2 + (new_deviation**2 - deviation**2) / window
            square += (new_mean - mean) ** 2 * (1 / window) * (1 - 1 / window)
            moved[name] = (mean + step, math.sqrt(square))
    return moved


def _checked_ledger(ledger: Any, day: Any) -> pa.Table:
    whole = isinstance(day, numbers.Integral) and not isinstance(day, bool)
    if not whole or not 0 <= int(day) < 2**31:
        raise ValueError(f"`day` must be a number of days (or hours). Received: day={day!r}.")
    if ledger is None:
        return LEDGER.empty_table()
    table = ledger if isinstance(ledger, pa.Table) else pq.read_table(ledger)
    if not set(LEDGER.names) <= set(table.column_names):
        raise ValueError(
            f"`ledger` must have the columns {LEDGER.names}, as the last call returned it. "
            f"Received: {table.column_names}."
        )
    last = pc.max(table["last_seen"]).as_py() or 0
    if last > day:
        raise ValueError(f"`day` must not be before the ledger's, {last}. Received: day={day}.")
    return table.select(LEDGER.names).cast(LEDGER)


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
