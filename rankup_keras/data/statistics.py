"""One pass over files: what is in them, and what features learn from them."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras import durable
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.packing import key, one_chunk
from rankup_keras.data.source import Unit
from rankup_keras.features import Feature
from rankup_keras.features.instants import check_unit
from rankup_keras.features.statistics import Learner
from rankup_keras.features.target import Target
from rankup_keras.strict_json import strict_json

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SAMPLE = 100_000


@dataclasses.dataclass
class Statistics:
    """What a pass over files found.

    Attributes:
        rows: rows that were read, malformed ones not counted.
        bad_rows: malformed rows that were skipped.
        labels: share of positives per task, of rows that have a label.
        features: per feature, what is known of its column: `values`, `kept`,
            `missing`, `mean`, `deviation` (standard), `quantiles`, `dtype`.
        folder: where the vocabularies are, one value per line.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    files = rk.data.Files("logs/*.parquet", features, ["click"])
    found = rk.data.adapt(features, files)
    print(found.rows, found.labels["click"], found.features["price"]["mean"])
    ```
    """

    rows: int = 0
    bad_rows: int = 0
    labels: dict[str, float] = dataclasses.field(default_factory=dict)
    features: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    folder: Path | None = None

    def write(self, folder: Path) -> None:
        """Writes `statistics.json`."""
        content = dataclasses.asdict(self)
        content.pop("folder")
        text = strict_json(content, indent=1)
        durable.write_text(folder / "statistics.json", text + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Statistics":
        """Reads what `write` wrote."""
        text = (folder / "statistics.json").read_text(encoding="utf-8")
        return cls(**json.loads(text), folder=folder)


class Sample:
    """Quantiles of a column by a random sample of its values, the same one every time."""

    def __init__(self) -> None:
        self._kept = np.zeros(0, np.float32)
        self._keys = np.zeros(0)
        self._generator = np.random.default_rng(0)

    def update(self, values: np.ndarray) -> None:
        """Draws a key for every value and keeps those of the smallest keys."""
        values = values[np.isfinite(values)]
        keys = self._generator.random(len(values))
        if len(self._keys) == SAMPLE:
            low = keys < self._keys.max()
            values, keys = values[low], keys[low]
        self._kept = np.concatenate([self._kept, values])
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > SAMPLE:
            best = np.argpartition(self._keys, SAMPLE)[:SAMPLE]
            self._kept, self._keys = self._kept[best], self._keys[best]

    def quantiles(self) -> list[float]:
        """The values at `QUANTILES`."""
        if not len(self._kept):
            return []
        return [float(v) for v in np.quantile(self._kept.astype(np.float64), QUANTILES)]


class Marks:
    """Whether lists in text seem to have another separator than the declared one."""

    def __init__(self) -> None:
        self._several, self._values, self._found = False, 0, dict.fromkeys(",;|/", 0)

    def update(self, lists: pa.ChunkedArray) -> None:
        """Looks at some rows, until one of them has several values."""
        self._several = self._several or (pc.max(pc.list_value_length(lists)).as_py() or 0) > 1
        if not self._several:
            values = pc.list_flatten(lists)
            self._values += len(values)
            for mark in self._found:
                self._found[mark] += pc.sum(pc.match_substring(values, mark)).as_py() or 0

    def warn(self, column: str, separator: str) -> None:
        """Warns where no row has several values, and most values hold one mark."""
        mark = max(self._found, key=lambda item: self._found[item])
        if not self._several and 2 * self._found[mark] > self._values:
            warnings.warn(
                f"No row of column {column!r} has several values by list_separator={separator!r}, "
                f"and most hold {mark!r}: if these are lists, give `list_separator`.",
                stacklevel=3,
            )


def scan(files: Files, folder: Path | None = None, memory: int = 1 << 29) -> Statistics:
    """Reads everything once: checks every row and, given a folder, learns.

    Args:
        files: what to read.
        folder: an empty folder for the vocabularies; `None` to only check.
        memory: bytes for the counts of all columns together; more goes to disk.

    Returns:
        `Statistics` of the rows.

    Raises:
        DataError: a malformed row that may not be skipped, no row at all, or a file that
            changes meanwhile.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    found = rk.data.scan(rk.data.Files("logs", features, ["click"]))
    assert found.bad_rows == 0
    ```
    """
    found = Statistics(folder=folder)
    features = files.features
    targets = {t.name: t for t in files.targets if t.role == "feature"}
    labels = [t for t in files.targets if t.role == "label"]
    learner = Learner(features.leaves(Feature) if folder else [], targets, folder or Path(), memory)
    samples = {name: Sample() for name in learner.moments}
    missing = dict.fromkeys(samples, 0)
    positives, known = ({t.name: 0.0 for t in labels} for _ in range(2))
    already = files.bad_rows.count
    times = [t for t in targets.values() if t.unit is not None]
    judged: set[tuple[str, str]] = set()
    texts = [t for t in targets.values() if t.shape == "list" and files.format in ("csv", "tsv")]
    marks = {t: Marks() for t in texts if t.kind == "string"}
    try:
        for unit in files.units:
            for table in files.chunks(unit):
                for target in times:
                    if (str(unit[0]), target.name) not in judged and _has_unit(table, target, unit):
                        judged.add((str(unit[0]), target.name))
                found.rows += table.num_rows
                for target, own in marks.items():
                    own.update(table.column(key(target)))
                for target in labels:
                    values = _numbers(table, target)
                    positives[target.name] += float(np.nansum(values, dtype=np.float64))
                    known[target.name] += np.count_nonzero(~np.isnan(values))
                for name in (*learner.counts, *learner.moments):
                    learner.update(name, one_chunk(table.column(key(targets[name]))))
                for name, sample in samples.items():
                    values = _numbers(table, targets[name])
                    sample.update(values)
                    missing[name] += int(np.count_nonzero(~np.isfinite(values)))
        files.check_unchanged()
        if not found.rows:
            where = " that the split or `where` leaves" if files.where else ""
            raise DataError(
                f"There is no row{where} in {len(files.paths)} file(s): "
                f"{', '.join(map(str, files.paths[:3]))}."
            )
        for target, own in marks.items():
            own.warn(target.column, files.csv.list_separator)
        found.bad_rows = files.bad_rows.count - already
        found.labels = {n: count / max(known[n], 1) for n, count in positives.items()}
        for name, moments in learner.moments.items():
            mean, std = moments.statistics()
            found.features[name] = {
                "mean": mean,
                "deviation": std,
                "missing": missing[name],
                "quantiles": samples[name].quantiles(),
            }
        for name in learner.counts:
            found.features[name] = _vocabulary(learner, name)
    finally:
        learner.close()
    files.rows = found.rows
    return found


def _has_unit(table: pa.Table, target: Target, unit: Unit) -> bool:
    """Whether times could be judged; raises where they cannot be of the declared unit."""
    try:
        return check_unit(target.column, [one_chunk(table.column(key(target)))], target.unit or "s")
    except ValueError as error:
        raise DataError(str(error), unit[0], column=target.column) from None


def _vocabulary(learner: Learner, name: str) -> dict[str, Any]:
    try:
        table = learner.ranked(name)
    except ValueError as error:
        raise DataError(str(error)) from None
    counts = learner.counts[name]
    return {
        "dtype": counts.kind,
        "kept": table.num_rows,
        "missing": counts.missing_rows,
        "values": counts.total,
        "file": learner.write(name, table).name,
        "most_frequent": {_text(r["value"]): r["count"] for r in table.slice(0, 5).to_pylist()},
    }


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _numbers(table: pa.Table, target: Target) -> np.ndarray:
    column = one_chunk(table.column(key(target)))
    column = column.flatten() if target.shape == "list" else column
    return column.to_numpy(zero_copy_only=False)
