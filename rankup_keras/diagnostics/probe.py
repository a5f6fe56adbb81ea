"""A fixed set of rows on which every measurement is taken."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import as_mapping

# Rows that go through the model at once; bounds the memory of a wide model's activations.
FORWARD_ROWS = 512


@dataclasses.dataclass(frozen=True)
class Probe:
    """Rows chosen once, as the model's graph takes them.

    Attributes:
        batches: Inputs of the model, in batches of at most `FORWARD_ROWS` rows.
        labels: Labels of the same rows (array or dict of arrays), or `None`.
        size: Number of rows.
    """

    batches: list[Any]
    labels: Any
    size: int


def make_probe(model: Any, data: Any, samples: int) -> Probe:
    """Chooses at most `samples` rows of `data` and encodes them for `model`.

    Args:
        model: The model. Where it has `encode`, as the models of this package
            do, raw columns pass through it.
        data: Columns or inputs in memory, of which rows at even distances are
            taken; a tuple `(x, y)` or `(x, y, weights)` of them; or a batched
            `tf.data.Dataset` or `keras.utils.PyDataset`, of which the first
            rows are taken.
        samples: Most rows to take.
    """
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 2:
        raise ValueError(
            "`probe_samples` must be an integer of at least 2. "
            f"Received: probe_samples={samples!r}."
        )
    encode = getattr(model, "encode", None)
    batches, labels, size = [], [], 0
    for x, y, chosen in _chosen_rows(data, samples):
        for start in range(0, len(chosen), FORWARD_ROWS):
            rows = chosen[start : start + FORWARD_ROWS]
            part = _take(x, rows)
            batches.append(encode(part) if callable(encode) else part)
            labels.append(None if y is None else _take(y, rows))
            size += len(rows)
    if size < 2:
        raise ValueError(
            f"The probe data hold {size} row(s); a rank needs at least 2, and some hundreds to "
            "say something. Pass rows of the validation set."
        )
    known = all(y is not None for y in labels)
    return Probe(_merged(batches), _concatenated(labels) if known else None, size)


def _chosen_rows(data: Any, samples: int) -> Iterator[tuple[Any, Any, np.ndarray]]:
    """Inputs, labels, and which of their rows to take."""
    if isinstance(data, keras.utils.PyDataset):
        elements: Any = (data[index] for index in range(len(data)))
    elif isinstance(data, tf.data.Dataset):
        elements = data
    else:
        x, y = _split(data)
        total = _count_rows(x)
        yield x, y, np.unique(np.linspace(0, total - 1, min(samples, total)).round().astype(int))
        return
    for element in elements:
        x, y = _split(element)
        rows = min(samples, _count_rows(x))
        yield x, y, np.arange(rows)
        samples -= rows
        if samples == 0:
            return


def _split(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple):
        return data, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "The probe data, where a tuple, must be (x,), (x, y) or (x, y, weights), as in "
            f"`fit`. Received a tuple of {len(data)}."
        )
    return data[0], data[1] if len(data) > 1 else None


def _merged(batches: list[Any]) -> list[Any]:
    """Small batches joined up to `FORWARD_ROWS`, so that few shapes reach the model."""
    leaves = [keras.tree.flatten(batch) for batch in batches]
    dense = all(isinstance(leaf, np.ndarray | tf.Tensor) for group in leaves for leaf in group)
    if not dense or len({tuple(leaf.shape[1:] for leaf in group) for group in leaves}) > 1:
        return batches
    size = sum(len(group[0]) for group in leaves)
    whole = _concatenated(batches)
    return [
        keras.tree.map_structure(lambda leaf, at=at: leaf[at : at + FORWARD_ROWS], whole)
        for at in range(0, size, FORWARD_ROWS)
    ]


def _concatenated(parts: list[Any]) -> Any:
    return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *parts)


def _columns(x: Any) -> Any:
    """The columns or inputs that `x` holds, by name or number; `None` for a single one."""
    if isinstance(x, Mapping):
        return x
    if isinstance(x, list | tuple) and x and all(hasattr(part, "shape") for part in x):
        return dict(enumerate(x))
    return as_mapping(x) if hasattr(x, "columns") else None  # tables and frames


def _count_rows(x: Any) -> int:
    columns = _columns(x)
    if columns is None:
        return int(x.nrows()) if isinstance(x, tf.RaggedTensor) else len(x)
    if not columns:
        raise ValueError("The probe data hold no columns. Received: an empty dict.")
    counts = {name: _count_rows(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"The columns of the probe data differ in length: {counts}.")
    return next(iter(counts.values()))


def _take(x: Any, rows: np.ndarray) -> Any:
    columns = _columns(x)
    if columns is not None:
        taken = {name: _take(column, rows) for name, column in columns.items()}
        return list(taken.values()) if isinstance(x, list | tuple) else taken
    if isinstance(x, tf.Tensor | tf.RaggedTensor):
        return tf.gather(x, rows)
    if hasattr(x, "iloc"):
        return x.iloc[rows].to_numpy()
    if isinstance(x, np.ndarray):
        return x[rows]
    if hasattr(x, "to_pylist"):
        return x.take(rows).to_pylist()
    if isinstance(x, list):
        return [x[row] for row in rows]
    raise ValueError(
        "The probe data must be arrays, tensors, lists, a dict of them, a tuple (x, y), a "
        f"`tf.data.Dataset` or a `keras.utils.PyDataset`. Received: {type(x).__name__}."
    )
