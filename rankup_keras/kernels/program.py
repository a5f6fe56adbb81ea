"""What the program in the making will run on."""

import contextlib
import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf

from rankup_keras.compat.xla import in_xla

_PLATFORM: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def program() -> str:
    """What is being made.

    `"eager"`; `"cpu"` and `"gpu"`, graphs run op by op; `"plain"`, a graph without any function
    that XLA compiles; `"xla"` and `"xla-gpu"`, compiled as a whole; `"tpu"`.
    """
    platform = _PLATFORM.get()
    if platform == "tpu" or isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return "tpu"
    if tf.executing_eagerly():
        return "eager"
    gpu = has_accelerator() if platform in (None, "plain") else platform == "gpu"
    if in_xla():
        return "xla-gpu" if gpu else "xla"
    if platform == "plain":
        return "plain"
    return "gpu" if gpu else "cpu"


@contextlib.contextmanager
def made_for(platform: str) -> Iterator[None]:
    """Within it programs are made for another platform than this machine's.

    Args:
        platform: `"cpu"`, `"gpu"`, or `"tpu"`, for which XLA compiles a whole step; or `"plain"`,
            in which kernels are not compiled anew for every batch size.
    """
    token = _PLATFORM.set(platform)
    try:
        yield
    finally:
        _PLATFORM.reset(token)


def for_tpu() -> contextlib.AbstractContextManager[None]:
    """Within it XLA compiles a whole step for a TPU."""
    return made_for("tpu")


def has_accelerator() -> bool:
    """Whether TensorFlow uses more than CPUs; a program may have hidden what the machine has."""
    return any(device.device_type != "CPU" for device in tf.config.get_visible_devices())


def default_device() -> str:
    """Where TensorFlow by itself puts what a GPU can compute."""
    kinds = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    return next(str(devices[0].name) for devices in kinds if devices)


def is_device(name: str, other: str) -> bool:
    """Whether two names are those of one device of this process."""
    first, second = map(tf.DeviceSpec.from_string, (name, other))
    return (first.device_type, first.device_index) == (second.device_type, second.device_index)


def beside(variable: Any) -> contextlib.AbstractContextManager[Any]:
    """Where to compute with a variable that lies in host memory: there.

    By itself TensorFlow would take its rows to the GPU and back, and a whole one, read or written,
    may not fit there.
    """
    if isinstance(variable, tf.distribute.DistributedValues):
        return contextlib.nullcontext()  # replicas have it on their devices
    on_cpu = tf.DeviceSpec.from_string(variable.device).device_type == "CPU"
    far = on_cpu and not is_device(variable.device, default_device()) and not in_xla()
    return tf.device(variable.device) if far else contextlib.nullcontext()


def on_host() -> contextlib.AbstractContextManager[Any]:
    """Where ids are computed: where they come from, until rows are read.

    TensorFlow has most integer ops for GPUs in host memory, and some on the GPU. With both in turn
    ids would go there and back, and each way back waits for all that the GPU was given to do. An
    export is placed too, since its server may have a GPU.
    """
    apart = (has_accelerator() or _PLATFORM.get() in ("cpu", "gpu")) and not in_xla()
    return tf.device("/cpu:0") if apart else contextlib.nullcontext()


def host_variable(value: Any) -> tf.Variable:
    """A variable on the host, shared by all replicas: branching on it waits for no GPU."""

    def make() -> tf.Variable:
        with tf.device("/cpu:0"):
            return tf.Variable(value, trainable=False)

    # In a thread of its own there is neither a strategy nor a graph.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(make).result()


def read_on_host(variable: tf.Variable) -> tf.Tensor:
    """The value of a `host_variable`, placed on the host in a graph too."""
    with tf.device("/cpu:0"):
        return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)
