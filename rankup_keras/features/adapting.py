"""Statistics of raw columns, gathered in one pass with memory bounded by the vocabularies."""

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.columns import (
    as_mapping,
    check_dataset_spec,
    convert_columns,
    dataset_columns,
    missing_columns_error,
)
from rankup_keras.features.columns import holds_integers as is_integer_column
from rankup_keras.features.numeric import Numeric


def batches(data: Any, spec: dict[str, tf.TensorSpec]) -> Iterator[dict[str, np.ndarray]]:
    """Columns batch by batch, from a dataset, from arrays, or from `(columns, labels)`."""
    if isinstance(data, tf.data.Dataset):
        check_dataset_spec(dataset_columns(data), spec)
        if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "The dataset repeats without end, so `adapt` would never return. "
                "Adapt to it before `.repeat()`, or to `dataset.take(n)`."
            )
        for item in data:
            yield convert_columns(item[0] if isinstance(item, tuple) else item, spec)
    else:
        yield convert_columns(data[0] if isinstance(data, tuple) else data, spec)


def holds_integers(data: Any, name: str) -> bool:
    """Whether a column of a dataset or of arrays holds integers."""
    if isinstance(data, tf.data.Dataset):
        item = dataset_columns(data).get(name)
        return item is not None and bool(item.dtype.is_integer)
    table = as_mapping(data[0] if isinstance(data, tuple) else data)
    if name not in table:
        raise missing_columns_error([name], [str(key) for key in table])
    return is_integer_column(table[name])


def check_plain_ids(feature: Categorical, column: np.ndarray) -> None:
    """Refuses ids that have no row in the feature's table."""
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    if low < -1 or high >= (feature.num_ids or 0):
        raise ValueError(
            f"Ids of feature {feature.name!r} must lie in [0, {feature.num_ids}) or be -1 for "
            f"missing. Received ids from {low} to {high}."
        )


class Vocabulary:
    """Counts the values of one categorical column."""

    def __init__(self, feature: Categorical) -> None:
        self.feature = feature
        self.counts: Counter[Any] = Counter()

    def update(self, column: np.ndarray) -> None:
        values = pc.value_counts(pa.array(column.ravel()))
        keys, counts = values.field("values"), values.field("counts")
        self.counts.update(dict(zip(keys.to_pylist(), counts.to_pylist(), strict=True)))

    def values(self) -> list[Any]:
        """Values by falling count, ties in their own order, so that two runs agree."""
        missing = "" if self.feature.dtype == "string" else -1
        merged: Counter[Any] = Counter()
        unreadable = 0
        for value, count in self.counts.items():
            if isinstance(value, bytes):
                try:
                    value = value.decode("utf-8")
                except UnicodeDecodeError:
                    unreadable += 1
                    continue
            if value is None or value == missing:
                continue
            if isinstance(value, str) and ("\n" in value or "\r" in value):
                unreadable += 1
                continue
            merged[value] += count
        if unreadable:
            warnings.warn(
                f"{unreadable} values of feature {self.feature.name!r} hold a line break or are "
                "no UTF-8 and stay out of its vocabulary: they count as unknown.",
                stacklevel=2,
            )
        kept = [(value, n) for value, n in merged.items() if n >= (self.feature.min_count or 1)]
        kept.sort(key=lambda item: (-item[1], item[0]))
        return [value for value, _ in kept[: self.feature.max_tokens]]


class Moments:
    """Mean and standard deviation of the finite values of one numeric column (float64)."""

    def __init__(self, feature: Numeric) -> None:
        self.feature = feature
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def update(self, column: np.ndarray) -> None:
        values = column[np.isfinite(column)].astype(np.float64)
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
        if self.feature.normalize is None or not self.count:
            return 0.0, 1.0
        deviation = math.sqrt(self.squares / self.count)
        return self.mean, deviation if deviation > 1e-12 * max(1.0, abs(self.mean)) else 1.0
