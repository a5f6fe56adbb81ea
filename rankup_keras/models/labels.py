"""Labels of tasks, read in one way from arrays and from the elements of datasets."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.layers.towers import Task
from rankup_keras.models.sampled_labels import known_numbers, with_rates

# Labels without a positive one from which on it is told.
_MANY = 1000


def check_name(name: str | None) -> None:
    """Refuses a model's name that TensorFlow would refuse at the first step.

    Raises:
        ValueError: it has other characters than operations can be named after.
    """
    if name and not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\>-]*", name):
        raise ValueError(
            "`name` of a model must be of letters a to z, digits, '_', '-' and '.', since "
            f"operations are named after it. Received: name={name!r}."
        )


def as_tasks(tasks: Sequence[Task | str]) -> list[Task]:
    """Tasks from tasks or their names."""
    if isinstance(tasks, str | Task):
        tasks = [tasks]
    result = [Task(task) if isinstance(task, str) else task for task in tasks]
    names = [task.name for task in result]
    if not result or len(set(names)) < len(names):
        raise ValueError(
            f"`tasks` must be tasks of different names, at least one. Received: {names}."
        )
    for task in result:
        if task.after is not None and task.after not in names[: names.index(task.name)]:
            raise ValueError(
                f"`after` of task {task.name!r} must name a task that stands before it among "
                f"`tasks`: {names}. Received: after={task.after!r}."
            )
    return result


def check_no_features(tasks: Sequence[Task], features: Any) -> None:
    """Refuses columns of labels and of rates that are features as well.

    Raises:
        ValueError: naming the task and the column.
    """
    for task in tasks:
        if task.label in features:
            raise ValueError(
                f"The label of task {task.name!r}, column {task.label!r}, is also a feature: "
                "the model would read what it predicts. Take it out of the FeatureSet, or "
                "name another column with `Task(name, label=...)`."
            )
        if isinstance(task.keep_rate, str) and task.keep_rate in features:
            raise ValueError(
                f"`keep_rate` of task {task.name!r}, column {task.keep_rate!r}, is also a "
                "feature: how a row was sampled is not known when it is served. Take it out of "
                "the FeatureSet."
            )


class Labels:
    """Reads the labels of a model's tasks.

    Args:
        tasks: the model's tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.columns = {task.name: task.label for task in tasks}
        self.rules = {task.name: task.rule for task in tasks if task.rule is not None}
        self.skipping = {task.name for task in tasks if task.missing_labels == "skip"}
        self.rates = {task.name: task.keep_rate for task in tasks if task.keep_rate is not None}
        self.after = {task.name: task.after for task in tasks if task.after is not None}

    def read(self, labels: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Task name → checked labels, float32 (rows, 1), as the outputs are.

        Args:
            labels: dict from task name to labels; one column of labels where there is one task;
                `None` where they are among `columns`.
            columns: the columns of the same rows.

        Returns:
            NumPy arrays; tensors inside of a `tf.data` pipeline. NaN where a label is missing, of
            a task that skips these, and may be 1. Of a task with a `keep_rate`, (rows, 2): the
            label and the rate.

        Raises:
            ValueError: a task has no labels or rates, or a label is not in [0, 1], a rate not in
                (0, 1].
            TypeError: labels are not numbers.
        """
        among = labels is None
        if among:
            labels = {name: columns[key] for name, key in self.columns.items() if key in columns}
            for name in self.rules.keys() & labels.keys():
                values, labels[name] = labels[name], self.rules[name](labels[name])
                if not tf.is_tensor(values):
                    _warn_of_no_positives(name, self.rules[name], values, labels[name])
        if not isinstance(labels, Mapping):
            if len(self.columns) > 1:
                raise ValueError(
                    f"Labels must be a dict with one entry for each task, {list(self.columns)}. "
                    f"Received: {type(labels).__name__}."
                )
            labels = dict.fromkeys(self.columns, labels)
        missing = [name for name in self.columns if name not in labels]
        if missing:
            raise ValueError(self._without(missing, columns if among else labels, among))
        check = _checked_tensor if tf.inside_function() else _checked_array
        checked = {n: check(n, labels[n], n in self.skipping) for n in self.columns}
        known = with_certain_negatives(checked, self.after)
        return with_rates(known, self.rates, labels, columns)

    def _without(self, tasks: list[str], given: Mapping[str, Any], among: bool) -> str:
        """What tasks lack, of labels by task or of columns that labels should be among."""
        names = sorted(map(str, given))
        if not among:
            return f"Tasks {tasks} have no labels. Labels are given for: {names}."
        return (
            f"Tasks {tasks} have no labels: among the columns {names} there is none of the name "
            f"{self.columns[tasks[0]]!r}. `Task({tasks[0]!r}, label=...)` names another one; "
            "labels may also follow the rows, as `y` or in `(rows, labels)`."
        )

    def weights(self, weights: Any) -> Any:
        """Checked sample weights, see `checked_weights`; of a dict one entry for each task.

        Raises:
            ValueError: there are other entries, or other numbers than a weight can be.
        """
        if isinstance(weights, Mapping) and set(weights) != set(self.columns):
            raise ValueError(
                f"`sample_weight` must be one column, or a dict with one for each task, "
                f"{list(self.columns)}. Received those of: {list(weights)}."
            )
        return checked_weights(weights)

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
        if (
            not isinstance(class_weight, Mapping)
            or not set(class_weight) <= {0, 1}
            or not all(0 <= weight < np.inf for weight in class_weight.values())
        ):
            raise ValueError(
                "`class_weight` must be a dict from the classes 0 and 1 to weights, 0 or more. "
                f"Received: {class_weight!r}."
            )
        positive = next(iter(labels.values()))[:, 0] > 0.5
        where = tf.where if tf.is_tensor(positive) else np.where
        return where(positive, *(np.float32(class_weight.get(label, 1)) for label in (1, 0)))


def with_certain_negatives(labels: Mapping[str, Any], after: Mapping[str, str]) -> dict[str, Any]:
    """Labels by task, of which a missing one is 0 where the task's `after` did not happen.

    Were these rows left out, the product `p(click) p(buy | click)` would be trained on the clicks
    alone, and so would `p(click)`.
    """
    result = dict(labels)
    for name, other in after.items():  # a task stands behind the one that it follows
        where, isnan = (
            (tf.where, tf.math.is_nan) if tf.is_tensor(result[name]) else (np.where, np.isnan)
        )
        zero = where(result[other] == 0, np.float32(0), result[name])
        result[name] = where(isnan(result[name]), zero, result[name])
    return result


def _warn_of_no_positives(name: str, rule: Any, values: Any, labels: np.ndarray) -> None:
    """Warns where no value of many is positive: the rule may be misspelled."""
    if np.isfinite(labels).sum() < _MANY or np.any(labels > 0):
        return
    known = np.ravel(np.asarray(values, dtype=object))[np.isfinite(labels)]
    some = ", ".join(repr(value) for value in list(dict.fromkeys(known.tolist()))[:4])
    warnings.warn(
        f"None of {len(known):,} labels of task {name!r} is positive by "
        f"positive={rule.rule!r}. Received values such as {some}.",
        stacklevel=2,
    )


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


def checked_weights(weights: Any) -> Any:
    """Sample weights (rows,), float32, or a dict of them by task, each a number, 0 or more.

    Weights of (rows, 1) become (rows,): one traced function does not take both.

    Raises:
        ValueError: one is not; Keras would train on it in silence.
    """
    if isinstance(weights, Mapping):
        return {name: _checked_weights(f" of task {name}", w) for name, w in weights.items()}
    return _checked_weights("", weights)


def _checked_weights(owner: str, weights: Any) -> Any:
    rule = f"`sample_weight`{owner} must be numbers, 0 or more. Received"
    if tf.is_tensor(weights) and tf.inside_function():
        _check_shape(owner, weights)
        weights = tf.cast(weights, tf.float32)
        fine = tf.reduce_all((weights >= 0) & (weights < np.inf))
        with tf.control_dependencies([tf.debugging.Assert(fine, [f"{rule}:", weights])]):
            return tf.reshape(weights, (-1,))
    try:
        array = known_numbers(weights)
    except (TypeError, ValueError):
        raise TypeError(f"{rule}: {weights!r:.80}.") from None
    _check_shape(owner, array)
    wrong = np.argwhere(~((array >= 0) & np.isfinite(array)))
    if len(wrong):
        row = wrong[0][0]
        raise ValueError(
            f"{rule} {len(wrong)} others, such as {array[tuple(wrong[0])]} in row {row}."
        )
    return array.reshape(-1)


def _check_shape(owner: str, weights: Any) -> None:
    shape = tf.TensorShape(weights.shape)
    if not any(shape.is_compatible_with(wanted) for wanted in ([None], [None, 1])):
        raise ValueError(
            f"`sample_weight`{owner} must have shape (rows,) or (rows, 1). Received shape {shape}."
        )


def _checked_array(name: str, labels: Any, skips: bool) -> np.ndarray:
    try:
        array = known_numbers(labels)
    except (TypeError, ValueError):
        first = next(iter(np.ravel(np.asarray(labels, dtype=object))), None)
        raise TypeError(
            f"Labels of task {name!r} must be numbers. Received: {first!r:.80}. {_rule(name)}"
        ) from None
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"Labels of task {name!r} must have shape (rows,) or (rows, 1). "
            f"Received shape {array.shape}."
        )
    wrong = array[~((array >= 0) & (array <= 1) | (skips & np.isnan(array)))]
    if wrong.size:
        raise ValueError(
            f"Labels of task {name!r} must lie in [0, 1]. Received {wrong.size} others, such as "
            f"{wrong.flat[0]}.{_hint(name) if np.isnan(wrong).any() else ' ' + _rule(name)}"
        )
    return array.reshape(-1, 1)


def _rule(name: str) -> str:
    return f"`Task({name!r}, positive=...)` says which values of a column are positive."


def _hint(name: str) -> str:
    return (
        f" `Task({name!r}, missing_labels='skip')` leaves rows without a label out of its loss and "
        "metrics."
    )


def _checked_tensor(name: str, labels: tf.Tensor, skips: bool) -> tf.Tensor:
    if not (labels.dtype.is_floating or labels.dtype.is_integer or labels.dtype.is_bool):
        raise TypeError(
            f"Labels of task {name!r} must be numbers. Received dtype {labels.dtype.name}."
        )
    labels = tf.cast(labels, tf.float32)
    fine = tf.reduce_all((labels >= 0) & (labels <= 1) | (skips & tf.math.is_nan(labels)))
    # No quotes: TensorFlow would escape them.
    message = f"Labels of task {name} must lie in [0, 1]. Received:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, labels])]):
        return tf.reshape(labels, (-1, 1))
