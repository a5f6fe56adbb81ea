"""One sentence where another worker has died, instead of errors of sockets and collectives."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rankup_keras.compat.multi_worker import worker_count

# What the runtime raises when a peer is gone; which of them depends on who notices first.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class WorkerLostError(RuntimeError):
    """Another worker of the job has died or cannot be reached."""


def tells_lost_workers(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of models that raises `WorkerLostError` where another worker has died."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except _LOST as error:
            workers = worker_count(self.distribute_strategy)
            if workers == 1:
                raise
            resolver = self.distribute_strategy.cluster_resolver
            raise WorkerLostError(
                f"Another worker of this job has died or cannot be reached, so "
                f"{resolver.task_type} {resolver.task_id} of {workers} stops. Start all of them "
                f"again; training resumes from its last checkpoint if `fit` was given "
                f"`rankup_keras.callbacks.Resume`. TensorFlow says: {_telling_line(error)}"
            ) from error

    return wrapped


def _telling_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "down" in line or "onnect" in line or "closed" in line]
    return (telling or lines or [type(error).__name__])[0]
