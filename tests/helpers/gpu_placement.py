"""Where a graph would wait for a GPU, by the kernels that this TensorFlow has for one."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import kernels

from rankup_keras.models.batches_ahead import READ_BY_HOST


def waits_for_gpu(operations, ahead=False):
    """`name (type): argument` wherever an op reads in host memory what a GPU has computed.

    Most kernels that TensorFlow has for int32 on GPUs run on the host, as ops without a kernel do.
    The host then waits for all that the GPU was given to do before.

    Args:
        operations: those of a graph in their order; what comes in is in host memory.
        ahead: whether numbers, labels and weights come in on the GPU, copied ahead of the step.
    """
    on_device, found = set(), []
    for op in operations:
        if ahead and op.type == "Placeholder" and READ_BY_HOST not in op.name:
            on_device |= {x.ref() for x in op.outputs if x.dtype.is_floating}
        host = _in_host_memory(op)
        reads, writes = op.op_def.input_arg, op.op_def.output_arg
        for argument, tensor in _pairs(op, reads, op.inputs):
            if (host is None or argument.name in host) and tensor.ref() in on_device:
                found.append(f"{op.name} ({op.type}): {argument.name}")
        for argument, tensor in _pairs(op, writes, op.outputs):
            if host is not None and argument.name not in host and tensor.dtype != tf.resource:
                on_device.add(tensor.ref())
    return found


def ops_on_gpu(operations):
    """Types of the ops that a GPU would be given, without those that hold or pass on a value."""
    passed = {"Identity", "ReadVariableOp", "NoOp", "Reshape", "ExpandDims", "Squeeze"}
    return [
        op.type
        for op in operations
        if _in_host_memory(op) is not None
        and op.type not in passed
        and any(tensor.dtype not in (tf.int32, tf.resource) for tensor in op.outputs)
    ]


def written_ops(path):
    """Types of all operations of an export's graph."""
    graph = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    return [node.op for function in functions for node in function.node_def]


def _in_host_memory(op):
    """Arguments that the op's kernel for GPUs keeps in host memory; `None` if it runs there."""
    if op.type in ("Placeholder", "Const") or "CPU" in op.device:
        return None
    every = kernels.get_registered_kernels_for_op(op.type).kernel
    for device in ("GPU", "DEFAULT"):
        for kernel in every:
            if kernel.device_type == device and all(
                op.get_attr(c.name).as_datatype_enum in c.allowed_values.list.type
                for c in kernel.constraint
            ):
                return set(kernel.host_memory_arg)
    return None


def _pairs(op, arguments, tensors):
    tensors = iter(tensors)
    for argument in arguments:
        count = 1
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            count = len(op.get_attr(argument.type_list_attr))
        for _ in range(count):
            yield argument, next(tensors)
