"""Metrics of a model with several tasks, and the groups that some of them rank within."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.trainer import in_compiled_order
from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task
from rankup_keras.metrics import AUC, GAUC, Calibration, LabelledRows, NormalizedEntropy

NAMED: dict[str, Callable[[], keras.metrics.Metric]] = {
    "auc": AUC,
    "calibration": Calibration,
    "log_loss": lambda: keras.metrics.BinaryCrossentropy(name="log_loss"),
    "ne": NormalizedEntropy,
    "normalized_entropy": NormalizedEntropy,
}
# Names that Keras's `compile` takes and `keras.metrics.get` does not.
_OF_KERAS = {"accuracy", "acc", "crossentropy", "ce"}


def metrics_by_task(metrics: Any, tasks: Sequence[Task]) -> Any:
    """A list of metrics as one for every task, each with counts of its own; others as they are.

    Names of `NAMED` are this package's metrics in all of them: Keras's own AUC is wrong of rare
    positives.

    Raises:
        ValueError: a name of no metric, or of no task.
    """
    metrics = keras.tree.map_structure(_named, metrics)
    if isinstance(metrics, Mapping):
        check_by_task("metrics", metrics, tasks)
    if metrics is not None and _is_metric(metrics):
        metrics = [metrics]
    if not isinstance(metrics, list | tuple) or not all(map(_is_metric, metrics)):
        return metrics
    return {task.name: [_copy(metric) for metric in metrics] for task in tasks}


def check_by_task(argument: str, given: Any, tasks: Sequence[Task]) -> None:
    """Refuses what is given by task for tasks that are not there, or in an order.

    Keras would take the tasks in the order of their names, not in theirs.
    """
    names = [task.name for task in tasks]
    unknown = isinstance(given, Mapping) and not set(given) <= set(names)
    if unknown or (isinstance(given, list | tuple) and len(names) > 1):
        raise ValueError(
            f"`{argument}` must be given by task, as a dict with keys among {names}. "
            f"Received: {given!r:.200}."
        )


def check_losses(loss: Any, weights: Any, tasks: Sequence[Task]) -> None:
    """Refuses losses and weights that Keras accepts but that train nothing, or the wrong way.

    Raises:
        ValueError: a loss of several classes; weights that are not numbers of at least 0 by task.
    """
    check_by_task("loss", loss, tasks)
    if isinstance(loss, list | tuple):
        raise ValueError(f"`loss` must be one loss, or a dict by task. Received: {loss!r:.200}.")
    for one in keras.tree.flatten(loss):
        name = one if isinstance(one, str) else str(getattr(one, "name", ""))
        if "categorical" in name:
            raise ValueError(
                "`loss` must compare one probability with a label of 0 or 1, as "
                f"'binary_crossentropy' does; {name!r} would learn nothing."
            )
    check_by_task("loss_weights", weights, tasks)
    if weights is None:
        return
    numbers = [*weights.values()] if isinstance(weights, Mapping) else [*np.atleast_1d(weights)]
    if not isinstance(weights, Mapping | list | tuple) or not all(0 <= n < np.inf for n in numbers):
        raise ValueError(
            "`loss_weights` must be a dict from task name to a number, 0 or more. "
            f"Received: {weights!r:.200}."
        )
    if isinstance(weights, Mapping) and len(weights) < len(tasks):
        raise ValueError(
            f"`loss_weights` must have one entry for each task, {[task.name for task in tasks]}. "
            f"Received: {dict(weights)}."
        )


def for_tasks(given: Mapping[str, Any], tasks: Sequence[Task]) -> dict[str, Any]:
    """What another model's `compile` was given, for tasks some of which that model lacks.

    These have their own loss, weight and metrics, as where `compile` is given none.
    """
    result = dict(given)
    for argument, own in (
        ("loss", {task.name: task.loss for task in tasks}),
        ("loss_weights", {task.name: task.weight for task in tasks}),
        ("metrics", {task.name: task.metrics() for task in tasks}),
        ("weighted_metrics", {}),
    ):
        if isinstance(by_task := given.get(argument), Mapping):
            kept = {task.name: by_task[task.name] for task in tasks if task.name in by_task}
            result[argument] = {**own, **kept}
    return result


class GroupedMetrics:
    """The metrics of a model that rank within groups, bound to its features.

    An object of its own, since Keras would take a list of metrics, kept by a
    model, for more metrics of the model.

    Args:
        metrics: nest of metrics, as `compile` takes them.
        features: the model's.
    """

    def __init__(self, metrics: Any, features: FeatureSet) -> None:
        self.metrics = [m for m in keras.tree.flatten(metrics) if isinstance(m, GAUC)]
        for metric in self.metrics:
            metric.bind(features)

    def read(self, inputs: Any) -> None:
        """Hands the groups of a batch over, given a model's inputs."""
        for metric in self.metrics:
            metric.read_groups(inputs)

    def results(self, model: keras.Model, found: Any, as_dict: bool) -> Any:
        """What `*_on_batch` return: within a step such metrics are not known."""
        if not self.metrics:
            return found
        logs = keras.tree.map_structure(np.asarray, model.get_metrics_result())
        return logs if as_dict else in_compiled_order(model, logs)


def _named(metric: Any) -> Any:
    if isinstance(metric, LabelledRows):  # as a saved model has them
        metric = metric.metric
    if not isinstance(metric, str):
        return metric
    if metric.lower() in NAMED:
        return NAMED[metric.lower()]()
    if metric.lower() == "gauc":
        raise ValueError("A GAUC needs the feature to rank within: `rk.metrics.GAUC('user')`.")
    if metric not in _OF_KERAS:
        try:
            keras.metrics.get(metric)
        except ValueError:
            raise ValueError(
                f"There is no metric {metric!r}. Names: {', '.join(NAMED)}, and those of "
                "`keras.metrics`, such as 'binary_accuracy'."
            ) from None
    return metric


def _is_metric(metric: Any) -> bool:
    return isinstance(metric, str | keras.metrics.Metric) or callable(metric)


def _copy(metric: Any) -> Any:
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
