"""A fixed set of rows on which every measurement is taken."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

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
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 2:
        raise ValueError(
            "`probe_samples` must be a whole number of at least 2. "
            f"Received: probe_samples={samples!r}."
        )
    encode = getattr(model, "encode", None)
    batches, labels, size = [], [], 0
    for x, y in _pieces(data, samples):
        rows = _count_rows(x)
        if rows == 0:
            continue
        if callable(encode):
            x = encode(x)
        batches.append(x)
        labels.append(y)
        size += rows
    if size < 2:
        raise ValueError(
            f"The probe data hold {size} row(s); a rank needs at least 2, and some hundreds to "
            "say something. Pass rows of the validation set."
        )
    together = None
    if all(y is not None for y in labels):
        together = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *labels)
    return Probe(_merged(batches), together, size)


def _merged(batches: list[Any]) -> list[Any]:
    """Small batches joined up to `FORWARD_ROWS`, so that few shapes reach the model."""
    leaves = [keras.tree.flatten(batch) for batch in batches]
    shapes = {tuple(np.shape(leaf)[1:] for leaf in group if _is_dense(leaf)) for group in leaves}
    dense = all(_is_dense(leaf) for group in leaves for leaf in group)
    if len(batches) < 2 or not dense or len(shapes) > 1:
        return batches
    whole = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    size = sum(len(group[0]) for group in leaves)

    def cut(start: int) -> Any:
        return keras.tree.map_structure(lambda leaf: leaf[start : start + FORWARD_ROWS], whole)

    return [cut(start) for start in range(0, size, FORWARD_ROWS)]


def _is_dense(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, tf.Tensor)) and len(leaf.shape) > 0


def _pieces(data: Any, samples: int) -> Iterator[tuple[Any, Any]]:
    """Inputs and labels of the chosen rows, in pieces of at most `FORWARD_ROWS`."""
    if isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
        left = samples
        whole = range(len(data)) if isinstance(data, keras.utils.PyDataset) else data
        for item in whole:
            element = data[item] if isinstance(data, keras.utils.PyDataset) else item
            x, y = _split(element)
            rows = min(left, _count_rows(x))
            yield from _cut(x, y, np.arange(rows))
            left -= rows
            if left == 0:
                return
        return
    x, y = _split(data)
    total = _count_rows(x)
    chosen = np.unique(np.linspace(0, total - 1, min(samples, total)).round().astype(int))
    yield from _cut(x, y, chosen)


def _cut(x: Any, y: Any, rows: np.ndarray) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(rows), FORWARD_ROWS):
        part = rows[start : start + FORWARD_ROWS]
        yield _take(x, part), None if y is None else _take(y, part)


def _split(data: Any) -> tuple[Any, Any]:
    if isinstance(data, tuple):
        if not data or len(data) > 3:
            raise ValueError(
                "The probe data, where a tuple, must be (x,), (x, y) or (x, y, weights), as in "
                f"`fit`. Received a tuple of {len(data)}."
            )
        return data[0], data[1] if len(data) > 1 else None
    return data, None


def _columns(x: Any) -> Any:
    """The dict or list of arrays that `x` is, or `None` for a single array."""
    if isinstance(x, Mapping):
        return x
    if isinstance(x, (list, tuple)) and x and all(hasattr(part, "shape") for part in x):
        return dict(enumerate(x))
    # Frames of pandas and tables of pyarrow answer to their column names.
    names = getattr(x, "column_names", None)
    if names is None:
        names = getattr(x, "columns", None)
    return None if names is None else {name: x[name] for name in names}


def _count_rows(x: Any) -> int:
    columns = _columns(x)
    if columns is None:
        return _length(x)
    if not columns:
        raise ValueError("The probe data hold no columns. Received: an empty dict.")
    counts = {name: _length(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"The columns of the probe data differ in length: {counts}.")
    return next(iter(counts.values()))


def _length(column: Any) -> int:
    if isinstance(column, tf.RaggedTensor):
        return int(column.nrows())
    shape = getattr(column, "shape", None)
    return len(column) if shape is None or not hasattr(shape, "__len__") else int(shape[0])


def _take(x: Any, rows: np.ndarray) -> Any:
    columns = _columns(x)
    if columns is None:
        return _rows_of(x, rows)
    taken = {name: _rows_of(column, rows) for name, column in columns.items()}
    return list(taken.values()) if isinstance(x, (list, tuple)) else taken


def _rows_of(column: Any, rows: np.ndarray) -> Any:
    if isinstance(column, (tf.Tensor, tf.RaggedTensor)):
        return tf.gather(column, rows)
    if hasattr(column, "iloc"):
        return column.iloc[rows].to_numpy()
    if hasattr(column, "to_pylist"):
        return [column[int(row)].as_py() for row in rows]
    if isinstance(column, np.ndarray):
        return column[rows]
    if isinstance(column, list):
        return [column[int(row)] for row in rows]
    raise ValueError(
        "The probe data must be arrays, tensors, lists, a dict of them, a tuple (x, y), a "
        "`tf.data.Dataset` or a `keras.utils.PyDataset`. "
        f"Received: {type(column).__name__}."
    )
