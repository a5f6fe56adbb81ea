"""Probabilities of the rows of files, batch by batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rankup_keras.data.files import Files
from rankup_keras.data.packing import key
from rankup_keras.metrics import exact


def score(model: Any, files: Files, batch_size: int) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
    """Tables of rows, labels and extra columns among them, with the probabilities of every task."""

    def predict(packed: dict[str, tf.Tensor]) -> Any:
        item = files.arrange(packed)
        columns = item[0] if isinstance(item, tuple) else item
        return model(model.features(columns), training=False)

    compiled = tf.function(predict, input_signature=[files.packer.signature])
    dtypes = {name: spec.dtype for name, spec in files.packer.signature.items()}
    for table in files.tables(batch_size):
        packed = files.packer.pack(table)
        tensors = {name: tf.constant(value, dtypes[name]) for name, value in packed.items()}
        scores = compiled(tensors)
        yield table, {task: value.numpy().reshape(-1) for task, value in scores.items()}


def evaluate(
    model: Any, files: Files, batch_size: int, group: str | None
) -> tuple[int, dict[str, dict[str, float]]]:
    """Exact metrics of every task, all scores held in memory: 8 bytes a row and task.

    Args:
        model: a trained model.
        files: rows with labels; `group` among their extra columns.
        batch_size: rows in a batch.
        group: column to rank within, or `None`.

    Returns:
        The number of rows, and by task the values of all metrics.
    """
    weight = next((target for target in files.targets if target.role == "weight"), None)
    scores: dict[str, list[np.ndarray]] = {task.name: [] for task in model.tasks}
    labels: dict[str, list[np.ndarray]] = {task.name: [] for task in model.tasks}
    weights: list[np.ndarray] = []
    groups: list[pa.ChunkedArray] = []
    targets = {target.name: target for target in files.targets if target.role == "label"}
    rows = 0
    for table, predicted in score(model, files, batch_size):
        rows += table.num_rows
        for name, values in predicted.items():
            scores[name].append(values)
            labels[name].append(table.column(key(targets[name])).to_numpy())
        if weight is not None:
            weights.append(table.column(key(weight)).to_numpy())
        if group is not None:
            groups.append(table.column(f"extra/{group}"))
    w = np.concatenate(weights) if weights else None
    found: dict[str, dict[str, float]] = {}
    ids = None
    if groups:
        chunks = [chunk for column in groups for chunk in column.chunks]
        encoded = pa.chunked_array(chunks).combine_chunks().dictionary_encode("encode")
        ids = encoded.indices.to_numpy()
    for name in scores:
        if not rows:
            continue
        y, p = np.concatenate(labels[name]), np.concatenate(scores[name])
        found[name] = {
            "auc": exact.auc(y, p, w),
            "log_loss": exact.log_loss(y, p, w),
            "ne": exact.normalized_entropy(y, p, w),
            "calibration": exact.calibration(y, p, w),
        }
        if ids is not None:
            found[name]["gauc"] = exact.gauc(y, p, ids, w)
    return rows, found
