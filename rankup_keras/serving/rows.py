"""Real rows in, arrays of exactly the signature's dtypes out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import convert_columns

Rows = dict[str, np.ndarray]


def raw_rows(data: Any, spec: Mapping[str, tf.TensorSpec], limit: int) -> Rows:
    """At most `limit` raw rows out of whatever a user trains on.

    Args:
        data: dict of columns, pandas frame, pyarrow table, `(columns, labels)`, or a batched
            `tf.data.Dataset` of either. Columns that `spec` does not name are left out.
        spec: name to `tf.TensorSpec` of the raw columns.
        limit: rows to take, from the start.
    """
    if isinstance(data, tf.data.Dataset):
        batches: list[Rows] = []
        for batch in data:
            columns = batch[0] if isinstance(batch, tuple) else batch
            batches.append(_exact(columns, spec))
            if sum(map(count_rows, batches)) >= limit:
                break
        rows = _concatenate(batches, spec) if batches else {}
    else:
        rows = _exact(data[0] if isinstance(data, tuple) else data, spec)
    if not rows or not count_rows(rows):
        raise ValueError("`warmup` must have at least one row. Received none.")
    return take(rows, min(limit, count_rows(rows)))


def blank_rows(spec: Mapping[str, tf.TensorSpec], count: int) -> Rows:
    """Rows in which every value is missing, for when there are no real ones."""
    rows = {}
    for name, item in spec.items():
        shape = [count, *(1 if d is None else d for d in item.shape[1:])]
        blank: Any = {tf.string: b"", tf.int64: -1}.get(item.dtype, np.nan)
        rows[name] = np.full(shape, blank, _numpy_dtype(item))
    return rows


def take(rows: Mapping[str, np.ndarray], count: int) -> Rows:
    """The first `count` rows, starting over where there are fewer."""
    index = np.arange(count) % count_rows(rows)
    return {name: value[index] for name, value in rows.items()}


def count_rows(rows: Mapping[str, np.ndarray]) -> int:
    """The number of rows."""
    return len(next(iter(rows.values())))


def _exact(data: Any, spec: Mapping[str, tf.TensorSpec]) -> Rows:
    converted = convert_columns(data, dict(spec))
    return {
        name: np.asarray(value).astype(_numpy_dtype(spec[name]), copy=False)
        for name, value in converted.items()
    }


def _concatenate(batches: list[Rows], spec: Mapping[str, tf.TensorSpec]) -> Rows:
    """Joins batches whose lists may differ in width."""
    rows = {}
    for name, item in spec.items():
        parts = [batch[name] for batch in batches]
        if item.shape.rank == 2 and item.shape[1] is None:
            width = max(part.shape[1] for part in parts)
            pad: Any = {tf.string: b"", tf.int64: -1}.get(item.dtype, np.nan)
            parts = [
                np.pad(p, [(0, 0), (0, width - p.shape[1])], constant_values=pad) for p in parts
            ]
        rows[name] = np.concatenate(parts)
    return rows


def _numpy_dtype(spec: tf.TensorSpec) -> Any:
    return object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
