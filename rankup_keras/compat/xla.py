"""XLA's own ops, whether XLA compiles the graph being built, and whether it can."""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.framework import config
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


def determinism_enabled() -> bool:
    """Whether `tf.config.experimental.enable_op_determinism` was called; not all of XLA obeys it.

    TensorFlow has no public name for it. Read in TensorFlow 2.21.0. It can go once there is one.
    """
    return bool(config.is_op_determinism_enabled())


class RefusedByXLAError(ValueError):
    """XLA cannot compile a function.

    Attributes:
        ops: names of the ops that it does not have.
        nodes: names of the nodes of the graph that the message is about.
    """

    def __init__(self, error: Exception | str) -> None:
        text = str(error)
        self.ops = sorted(set(re.findall(r"(\w+) \(No registered '\w+' OpKernel for XLA", text)))
        self.nodes = re.findall(r"\{\{node ([^}]*)\}\}", text)
        # Keras puts the call of a layer above what was raised in it.
        lines = [line for line in text.splitlines() if line and "encountered when" not in line]
        first = re.sub(r"\x1b\[\d*m", "", lines[0]) if lines else type(error).__name__
        super().__init__(", ".join(self.ops) or first[:300])


def lowered(
    function: Callable[..., Any], specs: Sequence[tf.TensorSpec], device: str | None = None
) -> bytes:
    """A function of tensors as XLA reads it, a serialized HLO module, before it is compiled.

    Args:
        function: of one tensor for every spec.
        specs: static shapes.
        device: where its variables lie. Defaults to the first GPU, or the CPU.

    Raises:
        RefusedByXLAError: it has ops that XLA does not have, or needs shapes not known.
    """
    gpus = tf.config.list_logical_devices("GPU")
    device = device or (gpus[0].name if gpus else "/device:CPU:0")
    with warnings.catch_warnings():
        # The replacement, `platform_name`, does not take functions that read variables.
        warnings.filterwarnings("ignore", "device_name is being deprecated")
        compiled = tf.function(function, jit_compile=True, autograph=False)
        stages = compiled.experimental_get_compiler_ir(*specs)
        try:
            return stages(stage="hlo_serialized", device_name=device)
        except Exception as error:
            raise RefusedByXLAError(error) from error
