"""Raw rows from a user's data, as arrays of exactly the dtypes of a signature."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import convert_columns
from rankup_keras.features.target import Target
from rankup_keras.serving.padding import missing_value, widen

Rows = dict[str, np.ndarray]


def first_rows(
    data: Any,
    spec: Mapping[str, tf.TensorSpec],
    limit: int,
    targets: Mapping[str, Target] | None = None,
) -> Rows:
    """The first `limit` rows of whatever a user trains on, or all where there are fewer.

    Args:
        data: dict of columns, pandas frame, pyarrow table, `(columns, labels)`, or a batched
            `tf.data.Dataset` of either. Columns that `spec` does not name are left out.
        spec: name to `tf.TensorSpec` of the raw columns.
        limit: rows to take, from the start.
        targets: see `FeatureSet.targets`. Defaults to those of `spec`.
    """
    parts = data if isinstance(data, tf.data.Dataset) else [data]
    batches: list[Rows] = []
    for part in parts:
        columns = convert_columns(part[0] if isinstance(part, tuple) else part, dict(spec), targets)
        batches.append({name: _exact(columns[name], item) for name, item in spec.items()})
        if sum(map(count_rows, batches)) >= limit:
            break
    if not sum(map(count_rows, batches)):
        raise ValueError("`warmup` must have at least one row. Received none.")
    return {
        name: _concatenate([batch[name] for batch in batches], item)[:limit]
        for name, item in spec.items()
    }


def missing_rows(spec: Mapping[str, tf.TensorSpec], count: int) -> Rows:
    """Rows in which every value is missing, for when there are no real ones."""
    rows = {}
    for name, item in spec.items():
        shape = [count, *(1 if size is None else size for size in item.shape[1:])]
        rows[name] = np.full(shape, missing_value(item), item.dtype.as_numpy_dtype)
    return rows


def take(rows: Mapping[str, np.ndarray], count: int) -> Rows:
    """The first `count` rows, starting over where there are fewer."""
    index = np.arange(count) % count_rows(rows)
    return {name: value[index] for name, value in rows.items()}


def count_rows(rows: Mapping[str, np.ndarray]) -> int:
    """The number of rows."""
    return len(next(iter(rows.values())))


def _exact(column: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    return np.asarray(column).astype(spec.dtype.as_numpy_dtype, copy=False)


def _concatenate(parts: list[np.ndarray], spec: tf.TensorSpec) -> np.ndarray:
    """Joins batches whose lists may differ in width."""
    if spec.shape.rank == 2 and spec.shape[1] is None:
        width = max(part.shape[1] for part in parts)
        parts = [widen(part, width, spec) for part in parts]
    return np.concatenate(parts)
