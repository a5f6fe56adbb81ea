"""Batches on the device before the step asks for them."""

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.models.step_devices import devices_of_step, has_strategy

# Batches that are read and copied while an earlier one is computed.
AHEAD = 2
# What the host reads of a batch, besides the ids: how long sequences are.
READ_BY_HOST = "encoded_events"
# By default TensorFlow takes ids to the GPU, where the host would wait for them.
OPTIONS = tf.distribute.InputOptions(experimental_fetch_to_device=False)


class BatchesAhead:
    """A dataset whose batches a thread reads, and copies to the devices that compute a step.

    Numbers, labels and weights go there; ids stay on the host, which checks and shifts them. So
    does what tells the lengths of sequences. Neither `tf.data.experimental.prefetch_to_device` nor
    a strategy can leave a part of a batch behind.

    Args:
        dataset: a `tf.data.Dataset`, or what a strategy has made of it with `OPTIONS`.
        devices: names of the devices, one for every replica.
    """

    def __init__(self, dataset: Any, devices: list[str]) -> None:
        self._dataset, self._devices = dataset, devices
        self._next = tf.function(lambda iterator: iterator.get_next(), autograph=False)

    def __iter__(self) -> "ReadAhead":
        iterator = iter(self._dataset)
        return ReadAhead(lambda: self._read(iterator), self._dataset.element_spec)

    def _read(self, iterator: Any) -> Any:
        batch = self._next(iterator)
        leaves = keras.tree.flatten_with_path(batch)
        return keras.tree.pack_sequence_as(
            batch, [x if READ_BY_HOST in path else self._placed(x) for path, x in leaves]
        )

    def _placed(self, x: Any) -> Any:
        """A tensor, or one for every replica, on the devices."""
        parts = tf.nest.flatten(x, expand_composites=True)
        if len(parts) != len(self._devices) or not parts[0].dtype.is_floating:
            return x
        for i, device in enumerate(self._devices):
            # Not within the function, which would leave copies out.
            with tf.device(device):
                parts[i] = tf.identity(parts[i])
        return tf.nest.pack_sequence_as(x, parts, expand_composites=True)


class ReadAhead(Iterator[Any]):
    """What a function returns until it raises, called ahead by a thread of its own.

    Args:
        read: the function.
        batch_spec: nest of `tf.TypeSpec` of what it returns.
    """

    def __init__(self, read: Callable[[], Any], batch_spec: Any) -> None:
        self.batch_spec = batch_spec
        self._asked: Any = queue.SimpleQueue()
        self._found: Any = queue.SimpleQueue()
        self._reads = 0
        stopped = threading.Event()
        arguments = read, self._asked, self._found, stopped
        thread = threading.Thread(target=_serve, args=arguments, daemon=True)
        thread.start()
        weakref.finalize(self, _stop, thread, self._asked, stopped)

    def __next__(self) -> Any:
        # Nothing before it is asked for: the next epoch may never come.
        while self._reads <= AHEAD:
            self._asked.put(True)
            self._reads += 1
        self._reads -= 1
        batch, error = self._found.get()
        if error is not None:
            raise error
        return batch


def _serve(read: Callable[[], Any], asked: Any, found: Any, stopped: threading.Event) -> None:
    while asked.get() and not stopped.is_set():
        try:
            found.put((read(), None))
        except BaseException as error:
            found.put((None, error))


def _stop(thread: threading.Thread, asked: Any, stopped: threading.Event) -> None:
    stopped.set()
    asked.put(False)
    if thread is not threading.current_thread():
        # A process must not end within a read; one that waits for a user's source is left alone.
        thread.join(timeout=1)


def devices_ahead(model: Any) -> list[str]:
    """The devices that batches can be copied to ahead of a compiled model's step; none if none."""
    if model.run_eagerly or model.steps_per_execution > 1:
        return []
    # Others read together with other workers, or are a TPU's.
    kinds = tf.distribute.MirroredStrategy | tf.distribute.OneDeviceStrategy
    copied = isinstance(model.distribute_strategy, kinds) or not has_strategy(model)
    return devices_of_step(model) if copied else []


def reads_to_gpus(strategy: Any) -> bool:
    """Whether a strategy takes batches to its GPUs if it is not told to leave them on the host."""
    kinds = (
        tf.distribute.MirroredStrategy
        | tf.distribute.MultiWorkerMirroredStrategy
        | tf.distribute.OneDeviceStrategy
    )
    return isinstance(strategy, kinds)


def left_on_host(distribute: Callable[..., Any], dataset: Any) -> Any:
    """The dataset that such a strategy makes, told so."""
    return distribute(dataset, OPTIONS)
