"""XLA's own ops, and whether XLA compiles the graph being built."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.ops import control_flow_util


def in_xla() -> bool:
    """Whether the graph being built is one that XLA will compile.

    No public name of TensorFlow tells. Read in TensorFlow 2.21.0. It can go once
    `tf.distribute` or `tf.function` says what compiles a trace.
    """
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def dynamic_update_slice(x: Any, update: Any, start: Sequence[Any]) -> Any:
    """`x` with `update` written at `start`, in place inside an XLA loop.

    `tf.tensor_scatter_nd_update` becomes a scatter, which XLA does not do in place. Read in
    TensorFlow 2.21.0. It can go once a public op lowers to `DynamicUpdateSlice`.
    """
    return xla.dynamic_update_slice(x, update, tf.stack(start))


def optimization_barrier(x: Any) -> Any:
    """`x`, computed to its end before anything that reads it.

    TensorFlow has no public op for XLA's `OptimizationBarrier`. Read in TensorFlow 2.21.0.
    It can go once there is one.
    """
    return xla.optimization_barrier(x)[0]
