"""What this process computes on."""

import functools

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


@functools.cache
def has_accelerator() -> bool:
    """Whether TensorFlow sees more than CPUs."""
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def in_xla() -> bool:
    """Whether the graph in the making is one that XLA will compile."""
    # TensorFlow's public names have nothing that tells.
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))
