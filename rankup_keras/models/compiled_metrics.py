"""Metrics of a model with several tasks, and the groups that some of them rank within."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task
from rankup_keras.metrics import GAUC


def metrics_by_task(metrics: Any, tasks: Sequence[Task]) -> Any:
    """A list of metrics as one for every task, each with counts of its own; others as they are."""
    if not isinstance(metrics, list | tuple) or not all(map(_is_metric, metrics)):
        return metrics
    return {task.name: [_copy(metric) for metric in metrics] for task in tasks}


def bind_groups(metrics: Any, features: FeatureSet) -> Callable[[Any], None]:
    """Binds the metrics that have groups to a feature set.

    Returns:
        A function that hands them the groups of a batch, given a model's inputs.
        It is a function, since Keras would take a list of metrics, kept by a
        model, for more metrics of the model.
    """
    grouped = [m for m in keras.tree.flatten(metrics) if isinstance(m, GAUC)]
    for metric in grouped:
        metric.bind(features)

    def read(inputs: Any) -> None:
        for metric in grouped:
            metric.read_groups(inputs)

    return read


def _is_metric(metric: Any) -> bool:
    return isinstance(metric, str | keras.metrics.Metric) or callable(metric)


def _copy(metric: Any) -> Any:
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
