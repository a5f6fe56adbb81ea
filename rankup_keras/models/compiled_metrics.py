"""Metrics of a model with several tasks, and the groups that some of them rank within."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.trainer import in_compiled_order
from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task
from rankup_keras.metrics import AUC, GAUC, LabelledRows


def metrics_by_task(metrics: Any, tasks: Sequence[Task]) -> Any:
    """A list of metrics as one for every task, each with counts of its own; others as they are.

    `"auc"` is this package's `AUC` in all of them, since that of Keras is wrong of rare positives.
    """
    metrics = keras.tree.map_structure(_named, metrics)
    if not isinstance(metrics, list | tuple) or not all(map(_is_metric, metrics)):
        return metrics
    return {task.name: [_copy(metric) for metric in metrics] for task in tasks}


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
    return AUC() if isinstance(metric, str) and metric.lower() == "auc" else metric


def _is_metric(metric: Any) -> bool:
    return isinstance(metric, str | keras.metrics.Metric) or callable(metric)


def _copy(metric: Any) -> Any:
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
