"""What `fit` of Keras does with a model, where no public way leads there."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.mixed_in import MixedIn


def evaluates_within_fit(kwargs: Mapping[str, Any]) -> bool:
    """Whether `evaluate` was called by `fit`, which then takes the data that it has made ready.

    Without it validation data would be encoded again after every epoch. `fit` says so
    by a keyword that begins with an underscore. Read in Keras 3.15.1. It can go once
    `fit` has a hook for validation.
    """
    return bool(kwargs.get("_use_cached_eval_dataset"))


def start_at_epoch(model: Any, epoch: int | None) -> None:
    """Makes a running `fit` begin with another epoch; `None` takes that back.

    `initial_epoch` is an argument of `fit`, out of a callback's reach; Keras's own
    `BackupAndRestore` sets the same attribute. Read in Keras 3.15.1. It can go once a
    callback can say where `fit` begins.
    """
    model._initial_epoch = epoch


def skip_validation(model: Any, skip: bool) -> None:
    """Makes `fit` skip validation and the epoch's metrics, or do both again.

    `validation_freq` is an argument of `fit`, out of a callback's reach, and metrics that
    never saw a batch cannot be asked for. Both are patched on the instance. Read in
    Keras 3.15.1. It can go once a callback can skip an epoch.
    """
    if skip:
        model._should_eval = lambda *args: False
        model.get_metrics_result = dict
    else:
        for name in ("_should_eval", "get_metrics_result"):
            model.__dict__.pop(name, None)


def build_metrics(model: Any, batch: Any) -> None:
    """Makes the variables of compiled metrics of any model, which Keras makes with the first batch.

    Where a model was made in a strategy's scope, `fit` has done it before it trains. Read in
    Keras 3.15.1. It can go once compiled metrics have a public `build`.
    """
    if model._distribute_strategy is None:
        model._symbolic_build(data_batch=batch)


def take_direction(metric: Any, other: Any) -> None:
    """Makes a metric better in the direction of another one, where that has one.

    Callbacks of `mode="auto"` read it. Read in Keras 3.15.1. It can go once a metric can tell.
    """
    if hasattr(other, "_direction"):
        metric._direction = other._direction


def in_compiled_order(model: Any, logs: Mapping[str, Any]) -> Any:
    """Metrics as `train_on_batch` returns them without `return_dict`.

    The order is that of `compile`, and no public name of Keras gives it. Read in Keras
    3.15.1. It can go once `metrics_names` lists compiled metrics.
    """
    return model._flatten_metrics_in_order(logs)


class BuildsBeforeTracing(MixedIn):
    """Mixed into a Functional model, makes all variables of a step before the step is traced.

    Keras leaves those of the optimizer, the compiled loss and metrics to the first trace, which
    TensorFlow then makes again: training and evaluation take twice as long to start. Read in
    Keras 3.15.1. It can go once Keras builds them first, as it does in a strategy's scope.
    """

    def make_train_function(self: Any, force: bool = False) -> Any:
        """As in Keras, once everything is built."""
        _build_compiled(self)
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def make_test_function(self: Any, force: bool = False) -> Any:
        """As in Keras, once loss and metrics are built."""
        _build_compiled(self)
        return super().make_test_function(force)


def _build_compiled(model: Any) -> None:
    for part in (model._compile_metrics, model._compile_loss):
        if part is not None and not part.built:
            part.build(model.output, model.output)


class StepsOfBatches(MixedIn):
    """Mixed into a Functional model, takes a step of a batch that is there.

    Behind the last batch of a dataset of unknown length TensorFlow runs what of a step hangs on no
    data: optimizers counted a step more in every epoch, and an output's loss a batch of 0. Read in
    Keras 3.15.1, which does so with its own models. It can go once their steps wait for data.
    """

    def train_step(self: Any, data: Any) -> Any:
        """As in Keras, after the batch has come."""
        with _once_there(data):
            return super().train_step(data)

    def test_step(self: Any, data: Any) -> Any:
        """As in Keras, after the batch has come."""
        with _once_there(data):
            return super().test_step(data)


class StepsFromAnyIterator(MixedIn):
    """Mixed into a Functional model, traces a step once for batches of every size.

    Keras does so for iterators of TensorFlow's alone; for others its step is traced for a first
    batch, and for a last one that is smaller. Those that have a `batch_spec` are traced by it. Read
    in Keras 3.15.1. It can go once Keras asks any iterator for the shapes of its batches.
    """

    def _make_function(self: Any, step_function: Any) -> Any:
        function = super()._make_function(step_function)
        step = tf.function(lambda data: function(iter([data])), autograph=False)
        steps: Any = weakref.WeakKeyDictionary()

        def run(iterator: Any) -> Any:
            if not hasattr(iterator, "batch_spec"):
                return function(iterator)
            if iterator not in steps:
                steps[iterator] = step.get_concrete_function(iterator.batch_spec)
            return steps[iterator](next(iterator))

        return run


def _once_there(data: Any) -> Any:
    tensors = [x for x in keras.tree.flatten(data) if isinstance(x, tf.Tensor)]
    return tf.control_dependencies(tensors[:1])  # one brings all


def loss_of_step(
    model: Any,
    losses: Sequence[Any],
    x: Any,
    y: Any,
    y_pred: Any,
    sample_weight: Any,
    training: bool,
    tracked: bool = True,
) -> Any:
    """The loss of a step whose layers were called outside of the model, given what they add to it.

    `compute_loss` reads them from the model's own call, whose tensors belong to another graph.
    Keras's JAX trainer sets the same attribute. Where it is not `tracked`, the epoch's loss of
    each output does not get to know it, as of a part of a batch. Read in Keras 3.15.1. It can go
    once `compute_loss` takes losses.
    """
    compiled = model._compile_loss
    trackers = compiled._metrics if compiled is not None and not tracked else None
    # An empty list would ask for the model's own.
    model._losses_override = list(losses) or [tf.zeros(())]
    if trackers is not None:
        compiled._metrics = [None] * len(trackers)
    try:
        return model._compute_loss(x, y, y_pred, sample_weight, training)
    finally:
        model._losses_override = []
        if trackers is not None:
            compiled._metrics = trackers


def track_loss(model: Any, loss: Any, rows: Any) -> None:
    """Adds a step's loss to the `loss` of the epoch, as Keras's own steps do.

    Its tracker has no public name. Read in Keras 3.15.1. It can go once `compute_metrics` takes
    the loss.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    model._loss_tracker.update_state(loss * replicas if replicas > 1 else loss, sample_weight=rows)
