"""Tasks that leave rows without a label out of their loss and metrics."""

import contextlib
import contextvars
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rankup_keras.compat.mixed_in import MixedIn
from rankup_keras.metrics import LabelledRows
from rankup_keras.metrics.labelled_rows import known_labels
from rankup_keras.models.sampled_labels import among_kept, without_rates

_SHARES: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
    "shares", default=None
)


class SkipsMissingLabels(MixedIn):
    """What `RankingModel` has of missing and sampled labels, before `keras.Model` in its bases."""

    _rows: Any = None
    # In a function, or Keras would save its sums with the model.
    _label_losses: Any = staticmethod(lambda: None)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        model: Any = self
        skipping = self._rows.labels.skipping
        tasks = [task.name for task in model.tasks]
        with model.distribute_strategy.scope():
            own = LossesOfLabelledRows(
                tasks, skipping, kwargs.get("loss"), kwargs.get("loss_weights")
            )
            for name in ("metrics", "weighted_metrics"):
                kwargs[name] = _of_labelled_rows(kwargs.get(name), skipping)
        self._label_losses = lambda: own if own.losses else None
        super().compile(*args, **kwargs)

    @property
    def metrics(self) -> list[Any]:
        own = self._label_losses()
        return [*super().metrics, *([] if own is None else [own])]

    def shared_labels(self) -> list[str]:
        """Tasks whose loss must know of the labels of other replicas."""
        model: Any = self
        several = model.distribute_strategy.num_replicas_in_sync > 1
        return sorted(self._rows.labels.skipping) if several else []

    def shares_of_labels(self, y: Any) -> dict[str, Any]:
        """By such tasks, the share of rows with a label in the batch of all replicas.

        A function that XLA compiles cannot ask other replicas. It is told; see `known_shares`.
        """
        tasks = self.shared_labels()
        labels = without_rates(y)[0] if tasks else {}
        return {name: _global_mean(known_labels(labels[name])[1]) for name in tasks}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        skipping = self._rows.labels.skipping
        y, rates = without_rates(y)
        y_pred = among_kept(y_pred, rates)
        if skipping and y is not None:
            y, sample_weight = labelled_rows(y, sample_weight, skipping)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        own = self._label_losses()
        y, rates = without_rates(y)
        if own is not None:
            own.update_state(y, among_kept(y_pred, rates), sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        logs, own = super().get_metrics_result(), self._label_losses()
        return logs if own is None else own.corrected(logs)


@contextlib.contextmanager
def known_shares(shares: Mapping[str, Any]) -> Iterator[None]:
    """Within it losses take shares of rows with a label from here, by task."""
    token = _SHARES.set(shares)
    try:
        yield
    finally:
        _SHARES.reset(token)


def labelled_rows(
    labels: Mapping[str, Any], weights: Any, skipping: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Labels and weights by task with which Keras's mean is that over the rows with a label.

    Args:
        labels: task name → float32 (batch, 1), NaN where there is none.
        weights: sample weights as Keras takes them: none, one array, or some tasks' arrays.
        skipping: the tasks that leave rows out.
    """
    found_labels, found_weights = {}, {}
    for name, label in labels.items():
        weight = _weight_of(name, weights, label)
        if name in skipping:
            label, known = known_labels(label)
            share = (_SHARES.get() or {}).get(name)
            share = _global_mean(known) if share is None else share
            weight = ops.divide_no_nan(weight * known, share)
        found_labels[name], found_weights[name] = label, weight
    return found_labels, found_weights


class LossesOfLabelledRows(keras.metrics.Metric):
    """The losses of tasks that skip rows, as means over all rows of an epoch that have a label.

    Keras means the batches' losses, in which a batch of few labels counts as much as one of many,
    and one without labels as 0.

    Args:
        tasks: names of all tasks, in order.
        skipping: those that leave rows out.
        loss: as `compile` takes it.
        loss_weights: as `compile` takes them.
    """

    def __init__(
        self, tasks: Sequence[str], skipping: Collection[str], loss: Any, loss_weights: Any
    ) -> None:
        super().__init__(name="losses_of_labelled_rows")
        losses, weights = _by_task(tasks, loss), _by_task(tasks, loss_weights)
        self.losses = {
            name: keras.losses.get(losses[name])
            for name in tasks
            if name in skipping and _is_mean(losses.get(name))
        }
        self.weights = {
            name: 1.0 if weights.get(name) is None else weights[name] for name in self.losses
        }
        # By task: its loss and its rows with a label, the loss that Keras counts and its rows.
        shape, zeros = (max(1, len(self.losses)), 4), keras.initializers.Zeros()
        self.sums = self.add_variable(shape, zeros, name="sums")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        added = []
        for name, loss in self.losses.items():
            y, known = known_labels(y_true[name])
            weight = ops.reshape(_weight_of(name, sample_weight, y) * known, (-1,))
            row_loss = getattr(loss, "call", loss)(y, ops.cast(y_pred[name], "float32"))
            total = ops.sum(ops.reshape(ops.cast(row_loss, "float32"), (-1,)) * weight)
            counted = ops.divide_no_nan(total, _global_mean(known))
            added.append([total, ops.sum(known), counted, ops.sum(ops.ones_like(known))])
        self.sums.assign_add(ops.stack([ops.stack(sums) for sums in added]))

    def result(self) -> dict[str, Any]:
        """Nothing of its own: `corrected` has what is reported."""
        return {}

    def corrected(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """Logs with the losses of these tasks, and with the sum over tasks, as they should be."""
        logs, sums = dict(logs), ops.convert_to_tensor(self.sums)
        for place, name in enumerate(self.losses):
            total, labels, counted, rows = ops.unstack(sums[place], 4)
            mean = ops.divide_no_nan(total, labels)
            if f"{name}_loss" in logs:
                logs[f"{name}_loss"] = mean
            difference = mean - ops.divide_no_nan(counted, rows)
            logs["loss"] = logs["loss"] + self.weights[name] * difference
        return logs


def _of_labelled_rows(metrics: Any, skipping: Collection[str]) -> Any:
    if not skipping or metrics is None:
        return metrics
    if not isinstance(metrics, Mapping):
        raise ValueError(
            f"Tasks {sorted(skipping)} skip missing labels: give `metrics` and `weighted_metrics` "
            "as dicts from task name to metrics, or as one list for all."
        )
    return {
        name: [LabelledRows(metric) for metric in _listed(given)] if name in skipping else given
        for name, given in metrics.items()
    }


def _listed(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else [given]


def _by_task(tasks: Sequence[str], given: Any) -> dict[str, Any]:
    """One for each task, of what Keras takes: one for all, a list in its order, a dict."""
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, list | tuple):
        return keras.tree.pack_sequence_as(dict.fromkeys(tasks, 0), list(given))
    return dict.fromkeys(tasks, given)


def _is_mean(loss: Any) -> bool:
    if loss is None:
        return False
    return getattr(loss, "reduction", "mean") in ("mean", "sum_over_batch_size")


def _weight_of(name: str, weights: Any, label: Any) -> Any:
    """A task's sample weights, float32 of the labels' shape."""
    weight = weights.get(name) if isinstance(weights, Mapping) else weights
    if weight is None:
        return ops.ones_like(label)
    return ops.reshape(ops.cast(weight, "float32"), ops.shape(label))


def _global_mean(known: Any) -> Any:
    """The share of rows with a label in the batch of all replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ops.mean(known)
    seen = tf.stack([tf.reduce_sum(known), tf.cast(tf.size(known), known.dtype)])
    labelled, rows = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, seen))
    return labelled / rows
