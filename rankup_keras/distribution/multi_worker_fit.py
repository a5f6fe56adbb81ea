"""Mends Keras 3.15.1's `fit` under `MultiWorkerMirroredStrategy`; to be deleted when upstream does.

Keras 3.15.1 (`keras/src/backend/tensorflow/trainer.py`) breaks there in two places:

1. `_maybe_symbolic_build` takes the mean of the first batch over all workers to learn its shapes.
   A mean of strings or of named columns that one worker lacks does not exist, and the shapes are
   those of the local batch. Mended: the first local replica's batch.
2. `reduce_per_replica` reduces every metric with `strategy.reduce("MEAN", value, axis=0)`. A metric
   is a scalar and has no axis 0: TensorFlow raises. Mended: one mean over the replicas of all
   workers for all metrics of the step together.

A third change is ours: where another worker has died, the runtime's error names sockets and
collectives. Here it becomes one sentence that says what happened and what to do.

`tests/distribution/test_multi_worker.py` runs the unmended functions too and fails once upstream
has mended them. Only `MultiWorkerMirroredStrategy` with several workers goes through this file.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

# What the runtime raises when a peer is gone; which of them depends on who notices first.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
_ORIGINALS: dict[str, Callable[..., Any]] = {}


class WorkerLostError(RuntimeError):
    """Another worker of the job has died or cannot be reached."""


def has_several_workers(strategy: Any) -> bool:
    """Whether a strategy spreads over several processes with one program each."""
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and strategy.extended._in_multi_worker_mode()
    )


def mend_fit() -> None:
    """Replaces the broken functions of Keras's trainer. Repeating it changes nothing."""
    if _ORIGINALS:
        return
    trainer_class = _trainer_class()
    module = _trainer_module()
    _ORIGINALS["reduce_per_replica"] = module.reduce_per_replica
    _ORIGINALS["_maybe_symbolic_build"] = trainer_class._maybe_symbolic_build
    module.reduce_per_replica = _reduce_per_replica
    trainer_class._maybe_symbolic_build = _maybe_symbolic_build
    for name in ("fit", "evaluate", "predict"):
        _ORIGINALS[name] = getattr(trainer_class, name)
        setattr(trainer_class, name, _with_clear_loss(_ORIGINALS[name]))


def unmend_fit() -> None:
    """Puts Keras's own functions back."""
    if not _ORIGINALS:
        return
    trainer_class = _trainer_class()
    _trainer_module().reduce_per_replica = _ORIGINALS.pop("reduce_per_replica")
    while _ORIGINALS:
        name, function = _ORIGINALS.popitem()
        setattr(trainer_class, name, function)


def _trainer_class() -> Any:
    # The base class of every Keras model on the TensorFlow backend; it has no public name.
    return next(c for c in keras.Model.__mro__ if c.__name__ == "TensorFlowTrainer")


def _trainer_module() -> Any:
    import importlib

    return importlib.import_module(_trainer_class().__module__)


def _reduce_per_replica(values: Any, strategy: Any, reduction: str) -> Any:
    if reduction not in ("auto", "mean") or not has_several_workers(strategy):
        return _ORIGINALS["reduce_per_replica"](values, strategy, reduction)
    leaves = tf.nest.flatten(values)
    if not leaves:
        return values
    # One collective for all metrics of a step, whatever their number.
    local = [tf.stack([_local_mean(strategy, leaf) for leaf in leaves])]
    mean = strategy.reduce("MEAN", _as_per_replica(strategy, local[0]), axis=None)
    return tf.nest.pack_sequence_as(values, tf.unstack(mean, num=len(leaves)))


def _local_mean(strategy: Any, value: Any) -> tf.Tensor:
    parts = [tf.cast(part, tf.float32) for part in strategy.experimental_local_results(value)]
    return parts[0] if len(parts) == 1 else tf.reduce_mean(tf.stack(parts), axis=0)


def _as_per_replica(strategy: Any, value: tf.Tensor) -> Any:
    return strategy.run(lambda: tf.identity(value))


def _maybe_symbolic_build(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
    strategy = self._distribute_strategy
    if iterator is None or strategy is None or not has_several_workers(strategy):
        _ORIGINALS["_maybe_symbolic_build"](self, iterator=iterator, data_batch=data_batch)
        return
    for _, _, batches in iterator:
        data_batch = tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0],
            next(batches),
            expand_composites=False,
        )
        break
    with strategy.scope():
        self._symbolic_build(data_batch=data_batch)


def _with_clear_loss(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except _LOST as error:
            strategy = self.distribute_strategy
            if not has_several_workers(strategy):
                raise
            resolver = strategy.cluster_resolver
            raise WorkerLostError(
                f"Another worker of this job has died or cannot be reached, so "
                f"{resolver.task_type} {resolver.task_id} of {_size(resolver)} stops; start all "
                f"of them again, and training goes on from its last checkpoint if `fit` was given "
                f"`rankup_keras.callbacks.Resume`. TensorFlow says: {_first_line(error)}"
            ) from error

    return wrapped


def _size(resolver: Any) -> int:
    spec = resolver.cluster_spec()
    return sum(spec.num_tasks(job) for job in spec.jobs if job in ("chief", "worker"))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "down" in line or "onnect" in line or "closed" in line]
    return (telling or lines or [type(error).__name__])[0]
