"""What features learn from their converted columns, from memory and from files alike."""

import dataclasses
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.columns import batches
from rankup_keras.features.conversion import LIST_IN_TEXT, show
from rankup_keras.features.feature import Feature
from rankup_keras.features.instants import check_unit
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.target import Target
from rankup_keras.features.value_counts import ValueCounts, write_vocabulary


def wide_target(feature: Feature, target: Target, again: bool = False) -> Target:
    """The target of a numeric feature that may turn out to need float64; others as they are.

    Args:
        feature: the feature.
        target: what its column is converted to.
        again: whether what an earlier `adapt` has found is open too.
    """
    if not isinstance(feature, Numeric) or not feature.normalize:
        return target
    known = feature.declares_dtype if again else feature.dtype
    return target if known else dataclasses.replace(target, kind="float64")


class Learner:
    """Vocabularies and moments, in one pass over batches of columns and in bounded memory.

    Args:
        features: those that learn nothing are passed over.
        targets: dict from a feature's name to what its column is converted to.
        folder: where counts that outgrow `memory`, and vocabularies, are written.
        memory: bytes for the counts of all columns together.
    """

    def __init__(
        self,
        features: Iterable[Feature],
        targets: Mapping[str, Target],
        folder: Path,
        memory: int = 1 << 29,
    ) -> None:
        features = list(features)
        self.vocabularies = {
            f.name: f for f in features if isinstance(f, Categorical) and f.learns_vocabulary
        }
        share = max(1 << 22, memory // max(1, len(self.vocabularies)))
        self.counts = {
            n: ValueCounts(targets[n].kind, share, str(folder)) for n in self.vocabularies
        }
        self.moments = {f.name: Moments(f) for f in features if isinstance(f, Numeric)}
        self._targets = targets
        self._folder = folder

    def learn(self, data: Any) -> None:
        """Takes rows in memory or a dataset, see `FeatureSet.adapt`."""
        rows, judged = 0, set[str]()
        for batch in batches(data, self._targets):
            for name, parts in batch.items():
                unit = self._targets[name].unit
                if unit is not None and name not in judged and check_unit(name, parts, unit):
                    judged.add(name)
                for part in parts:
                    self.update(name, part)
            rows += sum(map(len, next(iter(batch.values()), [])))
        if self._targets and not rows:
            raise ValueError("`data` has no rows to adapt to.")

    def update(self, name: str, values: pa.Array) -> None:
        """Takes some rows of a feature's converted column."""
        if self._targets[name].shape == "list":
            values = values.flatten()
        if name in self.counts:
            self.counts[name].update(values)
        elif name in self.moments:
            self.moments[name].update(values.to_numpy(zero_copy_only=False))

    def ranked(self, name: str) -> pa.Table:
        """`value` and `count` of a feature's vocabulary, see `ValueCounts.result`.

        Raises:
            ValueError: no value is left.
        """
        feature = self.vocabularies[name]
        table = self.counts[name].result(name, feature.min_count or 1, feature.max_tokens)
        if not table.num_rows:
            raise ValueError(
                f"Feature {name!r} has no value that occurs at least {feature.min_count} times, "
                "so its vocabulary would be empty. Lower `min_count`, or leave the feature out."
            )
        first = table["value"][0].as_py()
        if self.counts[name].kind == "string" and re.match(LIST_IN_TEXT.encode(), first):
            warnings.warn(
                f"Feature {name!r} has values such as {show(first)}: lists written as text, each "
                "of which counts as one value. If they are lists, give rows of lists and "
                "`max_length`.",
                stacklevel=2,
            )
        return table

    def write(self, name: str, ranked: pa.Table | None = None) -> Path:
        """Writes a vocabulary, one value per line, and says where."""
        values = (ranked or self.ranked(name))["value"]
        path = self._folder / f"vocabulary_{list(self.vocabularies).index(name)}.txt"
        write_vocabulary(values, path)
        return path

    def close(self) -> None:
        """Removes what was written beside the vocabularies."""
        for counter in self.counts.values():
            counter.close()


class Moments:
    """Mean and standard deviation of the finite values of one numeric column (float64)."""

    def __init__(self, feature: Numeric) -> None:
        self.feature = feature
        self.count, self.mean, self.squares, self.beyond = 0, 0.0, 0.0, 0

    def update(self, column: np.ndarray) -> None:
        values = column[np.isfinite(column)].astype(np.float64)
        if self.feature.normalize != "log":  # what encoding has no room for is missing there too
            fits = np.abs(values) <= np.finfo(np.float32).max
            self.beyond += int(np.count_nonzero(~fits))
            values = values[fits]
        if self.feature.normalize == "log":
            values = np.sign(values) * np.log1p(np.abs(values))
        if not values.size:
            return
        mean, count = float(values.mean()), self.count + values.size
        delta = mean - self.mean
        # Chan et al.'s update: adding up squares would cancel for large means.
        self.squares += float(((values - mean) ** 2).sum())
        self.squares += delta**2 * self.count * values.size / count
        self.mean += delta * values.size / count
        self.count = count

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation; a constant or empty column is left unscaled."""
        if self.beyond:
            warnings.warn(
                f"{self.beyond:,} values of feature {self.feature.name!r} are beyond what float32 "
                "holds, 3.4e38 in size, and count as missing.",
                stacklevel=2,
            )
        if self.feature.normalize is None or not self.count:
            return 0.0, 1.0
        std = math.sqrt(self.squares / self.count)
        return self.mean, std if std > max(1e-30, 1e-12 * abs(self.mean)) else 1.0
