"""What the program in the making will run on."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import tensorflow as tf

from rankup_keras.compat.xla import in_xla

_FOR_TPU: contextvars.ContextVar[bool] = contextvars.ContextVar("for_tpu", default=False)


def program() -> str:
    """One of `"eager"`, `"cpu"`, `"gpu"` (graphs run op by op), `"xla"`, and `"tpu"`."""
    if _FOR_TPU.get() or isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return "tpu"
    if tf.executing_eagerly():
        return "eager"
    if in_xla():
        return "xla"
    return "gpu" if has_accelerator() else "cpu"


@contextlib.contextmanager
def for_tpu() -> Iterator[None]:
    """Within it XLA compiles a whole step for a TPU."""
    token = _FOR_TPU.set(True)
    try:
        yield
    finally:
        _FOR_TPU.reset(token)


@functools.cache
def has_accelerator() -> bool:
    """Whether TensorFlow sees more than CPUs."""
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())
