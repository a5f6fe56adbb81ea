"""Labels of tasks, read in one way from arrays and from the elements of datasets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.layers.towers import Task


class Labels:
    """Reads the labels of a model's tasks.

    Args:
        tasks: the model's tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.columns = {task.name: task.label for task in tasks}

    def read(self, labels: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Task name → checked labels, float32 (rows, 1), as the outputs are.

        Args:
            labels: dict from task name to labels; one column of labels where there is one task;
                `None` where they are among `columns`.
            columns: the columns of the same rows.

        Returns:
            NumPy arrays; tensors inside of a `tf.data` pipeline.

        Raises:
            ValueError: a task has no labels, or a label is not in [0, 1].
            TypeError: labels are not numbers.
        """
        if labels is None:
            labels = {name: columns[key] for name, key in self.columns.items() if key in columns}
        if not isinstance(labels, Mapping):
            if len(self.columns) > 1:
                raise ValueError(
                    f"Labels must be a dict with one entry for each task, {list(self.columns)}. "
                    f"Received: {type(labels).__name__}."
                )
            labels = dict.fromkeys(self.columns, labels)
        missing = [name for name in self.columns if name not in labels]
        if missing:
            raise ValueError(
                f"Tasks {missing} have no labels. Labels are given for: {sorted(labels)}."
            )
        check = _checked_tensor if tf.inside_function() else _checked_array
        return {name: check(name, labels[name]) for name in self.columns}

    def weights(
        self,
        labels: Mapping[str, Any],
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> Any:
        """Checked weights (rows,), float32, those of samples or of classes; `None` for neither.

        Args:
            labels: what `read` has given.
            sample_weight: one weight per row, (rows,) or (rows, 1), or a dict from task name to
                such weights.
            class_weight: dict from the classes 0 and 1 to weights.

        Raises:
            ValueError: both are given, weights have another shape, or a task has none.
        """
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("Give `sample_weight` or `class_weight`, not both.")
            return self.class_weights(labels, class_weight)
        if not isinstance(sample_weight, Mapping):
            return None if sample_weight is None else _one_per_row(sample_weight)
        if set(sample_weight) != set(self.columns):
            raise ValueError(
                "`sample_weight` must be one weight per row, or a dict with one entry for each "
                f"task, {list(self.columns)}. Received a dict of {sorted(sample_weight)}."
            )
        return {name: _one_per_row(sample_weight[name]) for name in self.columns}

    def class_weights(self, labels: Mapping[str, Any], class_weight: Mapping[int, float]) -> Any:
        """Each row's weight (rows,), that of its label's class.

        Raises:
            ValueError: there are several tasks, or other classes than 0 and 1.
        """
        if len(self.columns) > 1:
            raise ValueError(
                f"`class_weight` needs a model with one task; this one has {list(self.columns)}. "
                "Use `sample_weight`, a dict from task name to one weight per row."
            )
        if not set(class_weight) <= {0, 1}:
            raise ValueError(
                "`class_weight` must be a dict from the classes 0 and 1 to weights. "
                f"Received: {class_weight!r}."
            )
        positive = next(iter(labels.values()))[:, 0] > 0.5
        where = tf.where if tf.is_tensor(positive) else np.where
        return where(positive, *(np.float32(class_weight.get(label, 1)) for label in (1, 0)))


def check_lengths(rows: int, labels: Mapping[str, Any], weights: Any) -> None:
    """Refuses labels and weights that are not one per row.

    Raises:
        ValueError: naming what has how many rows.
    """
    found = {f"labels of task {name!r}": len(column) for name, column in labels.items()}
    if isinstance(weights, Mapping):
        found |= {f"weights of task {name!r}": len(column) for name, column in weights.items()}
    elif weights is not None:
        found["weights"] = len(weights)
    wrong = [f"{count} {what}" for what, count in found.items() if count != rows]
    if wrong:
        raise ValueError(
            f"Labels and weights must be one per row. Received {', '.join(wrong)} for {rows} rows."
        )


def _one_per_row(weights: Any) -> Any:
    """Weights (rows,), float32: one traced function takes no shapes of different ranks."""
    weights = (
        tf.cast(weights, tf.float32)
        if tf.inside_function()
        else _numbers("`sample_weight`", weights)
    )
    shape = tf.TensorShape(weights.shape)
    if not any(shape.is_compatible_with(wanted) for wanted in ([None], [None, 1])):
        raise ValueError(
            f"`sample_weight` must have shape (rows,) or (rows, 1). Received shape {shape}."
        )
    return tf.reshape(weights, (-1,)) if tf.inside_function() else weights.reshape(-1)


def _numbers(what: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(f"{what} must be numbers. Received: {values!r:.80}.") from None


def _checked_array(name: str, labels: Any) -> np.ndarray:
    array = _numbers(f"Labels of task {name!r}", labels)
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"Labels of task {name!r} must have shape (rows,) or (rows, 1). "
            f"Received shape {array.shape}."
        )
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        wrong = array[~((array >= 0) & (array <= 1))]
        raise ValueError(
            f"Labels of task {name!r} must lie in [0, 1]. Received {wrong.size} others, such as "
            f"{wrong.flat[0]}."
        )
    return array.reshape(-1, 1)


def _checked_tensor(name: str, labels: tf.Tensor) -> tf.Tensor:
    if not (labels.dtype.is_floating or labels.dtype.is_integer or labels.dtype.is_bool):
        raise TypeError(
            f"Labels of task {name!r} must be numbers. Received dtype {labels.dtype.name}."
        )
    labels = tf.cast(labels, tf.float32)
    fine = tf.reduce_all((labels >= 0) & (labels <= 1))
    # No quotes: TensorFlow would escape them.
    message = f"Labels of task {name} must lie in [0, 1]. Received:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, labels])]):
        return tf.reshape(labels, (-1, 1))
