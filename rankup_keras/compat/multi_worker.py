"""Several workers: how TensorFlow's runtime is set up for them, and Keras's `fit` mended.

Keras 3.15.1 (`keras/src/backend/tensorflow/trainer.py`) breaks under `MultiWorkerMirroredStrategy`
with several workers in two places:

1. `_maybe_symbolic_build` takes the mean of the first batch over all workers to learn its shapes.
   A mean of strings, or of named columns that one worker lacks, does not exist, and the shapes are
   those of the local batch. Mended: the batch of the first local replica.
2. `reduce_per_replica` reduces every metric with `strategy.reduce("MEAN", value, axis=0)`. A metric
   is a scalar and has no axis 0: TensorFlow raises. Mended: one mean, over the replicas of all
   workers, for all metrics of the step together.

Both are private, and so is the class that has them. Read in Keras 3.15.1 and TensorFlow 2.21.0. The
tests run the originals too and fail once upstream has mended them.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

_ORIGINALS: dict[str, Callable[..., Any]] = {}


def worker_count(strategy: Any) -> int:
    """Number of processes, with one program each, that a strategy spreads over."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec()
    return sum(cluster.num_tasks(job) for job in cluster.jobs if job in ("chief", "worker")) or 1


def configure_heartbeat(jobs: Sequence[tuple[str, int]], seconds: int) -> None:
    """Makes the runtime notice within `seconds` that a worker has died.

    By default it takes more than a minute, and no public function sets it. Read in TensorFlow
    2.21.0. It can go once `MultiWorkerMirroredStrategy` takes a timeout.

    Args:
        jobs: the kinds of processes, the leader's first, and how many there are of each.
        seconds: time without a sign of life after which a worker counts as lost.
    """
    if context.context().coordination_service is None:
        context.context().configure_coordination_service(
            service_type="standalone",
            service_leader=f"/job:{jobs[0][0]}/replica:0/task:0",
            heartbeat_timeout_in_ms=1000 * seconds,
            coordinated_jobs=[
                coordination_config_pb2.CoordinatedJob(name=job, num_tasks=count)
                for job, count in jobs
            ],
        )


def global_seed() -> int | None:
    """The seed of `tf.random.set_seed`, or `None`.

    The public `tf.compat.v1.get_seed` draws a number where one is set. Read in TensorFlow 2.21.0.
    It can go once there is a `tf.random.get_seed`.
    """
    return context.global_seed()


def mend_fit(around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replaces the broken functions of Keras's trainer. Repeating it changes nothing.

    Args:
        around: wraps the methods `fit`, `evaluate` and `predict` of every model.
    """
    if _ORIGINALS:
        return
    trainer, module = trainer_class(), trainer_module()
    _ORIGINALS["reduce_per_replica"] = module.reduce_per_replica
    _ORIGINALS["_maybe_symbolic_build"] = trainer._maybe_symbolic_build
    module.reduce_per_replica = _reduce_per_replica
    trainer._maybe_symbolic_build = _maybe_symbolic_build
    for name in ("fit", "evaluate", "predict"):
        _ORIGINALS[name] = getattr(trainer, name)
        setattr(trainer, name, around(_ORIGINALS[name]))


def unmend_fit() -> None:
    """Puts Keras's own functions back."""
    if _ORIGINALS:
        trainer_module().reduce_per_replica = _ORIGINALS.pop("reduce_per_replica")
    while _ORIGINALS:
        setattr(trainer_class(), *_ORIGINALS.popitem())


def trainer_class() -> Any:
    """The base class of every Keras model on TensorFlow; it has no public name."""
    return next(c for c in keras.Model.__mro__ if c.__name__ == "TensorFlowTrainer")


def trainer_module() -> Any:
    """The module of `trainer_class`."""
    return importlib.import_module(trainer_class().__module__)


def _reduce_per_replica(values: Any, strategy: Any, reduction: str) -> Any:
    if reduction not in ("auto", "mean") or worker_count(strategy) == 1:
        return _ORIGINALS["reduce_per_replica"](values, strategy, reduction)
    leaves = tf.nest.flatten(values)
    if not leaves:
        return values
    # One collective for all metrics of a step, whatever their number.
    local = tf.stack([_local_mean(strategy, leaf) for leaf in leaves])
    mean = strategy.reduce("MEAN", strategy.run(lambda: tf.identity(local)), axis=None)
    return tf.nest.pack_sequence_as(values, tf.unstack(mean, num=len(leaves)))


def _local_mean(strategy: Any, value: Any) -> tf.Tensor:
    parts = [tf.cast(part, tf.float32) for part in strategy.experimental_local_results(value)]
    return parts[0] if len(parts) == 1 else tf.reduce_mean(tf.stack(parts), axis=0)


def _maybe_symbolic_build(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
    strategy = self.distribute_strategy
    if iterator is None or worker_count(strategy) == 1:
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
