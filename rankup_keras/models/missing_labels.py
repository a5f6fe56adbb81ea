"""Tasks that leave rows without a label out of their loss and metrics."""

from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf
from keras import ops


class SkipsMissingLabels:
    """What `RankingModel` has of missing labels, before `keras.Model` in its bases."""

    _rows: Any = None

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        skipping = self._rows.labels.skipping
        if skipping and y is not None:
            y, sample_weight = labelled_rows(y, sample_weight, skipping, mean=True)
        return super().compute_loss(x, y, y_pred, sample_weight, training)  # type: ignore[misc]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        skipping = self._rows.labels.skipping
        if skipping:
            y, sample_weight = labelled_rows(y, sample_weight, skipping, mean=False)
        return super().compute_metrics(x, y, y_pred, sample_weight)  # type: ignore[misc]


def labelled_rows(
    labels: Mapping[str, Any], weights: Any, skipping: Collection[str], mean: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Labels and weights by task that leave out the rows whose label is NaN.

    Args:
        labels: task name → float32 (batch, 1).
        weights: sample weights as Keras takes them: none, one array, or some tasks' arrays.
        skipping: the tasks that leave rows out.
        mean: whether weights are scaled so that Keras's mean over the batch becomes the mean over
            the rows that have a label, as a loss wants it.
    """
    known_labels, known_weights = {}, {}
    for name, label in labels.items():
        weight = weights.get(name) if isinstance(weights, Mapping) else weights
        weight = ops.ones_like(label) if weight is None else ops.reshape(weight, ops.shape(label))
        if name in skipping:
            missing = ops.isnan(label)
            label = ops.where(missing, 0.0, label)
            known = ops.cast(ops.logical_not(missing), "float32")
            weight = ops.cast(weight, "float32") * known
            if mean:
                weight = ops.divide_no_nan(weight, _global_mean(known))
        known_labels[name], known_weights[name] = label, weight
    return known_labels, known_weights


def _global_mean(known: Any) -> Any:
    """The share of rows with a label in the batch of all replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ops.mean(known)
    seen = tf.stack([tf.reduce_sum(known), tf.cast(tf.size(known), known.dtype)])
    labelled, rows = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, seen))
    return labelled / rows


def with_weights(metrics: Any, weighted: Any, tasks: Collection[str]) -> tuple[Any, Any]:
    """Makes the metrics of tasks that skip rows see weights, by which rows are left out."""
    if not tasks:
        return metrics, weighted
    if not isinstance(metrics, Mapping) or not isinstance(weighted or {}, Mapping):
        raise ValueError(
            f"Tasks {sorted(tasks)} skip missing labels: give `metrics` and `weighted_metrics` as "
            "dicts from task name to metrics, or as one list for all."
        )
    weighted = {name: list(_listed(given)) for name, given in (weighted or {}).items()}
    for name in tasks & metrics.keys():
        weighted[name] = [*_listed(metrics[name]), *weighted.get(name, [])]
    return {n: m for n, m in metrics.items() if n not in tasks}, weighted


def _listed(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else [given]
