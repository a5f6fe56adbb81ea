"""A model's training step as one XLA module, its embedding tables left out."""

import dataclasses
import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.kernels.program import for_tpu
from rankup_keras.optimizers import Split


class RefusedOpsError(ValueError):
    """The training step has ops that XLA cannot compile.

    Attributes:
        ops: their names.
    """

    def __init__(self, ops: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.ops = list(ops)


@dataclasses.dataclass(frozen=True)
class DensePart:
    """What a TPU's matrix units do of a model.

    Attributes:
        network: the layers after the tables, from a list of inputs to outputs.
        vectors: how many of its inputs, the first ones, come from a lookup: the
            update of the tables needs their gradients.
        tables: names of the layers left out.
    """

    network: keras.Model
    vectors: int
    tables: list[str]


def dense_part(model: keras.Model) -> DensePart:
    """The Functional model behind the embedding tables.

    Args:
        model: a Functional model, with tables or without.
    """
    tables = [layer for layer in model.layers if _holds_tables(layer)]
    if not tables:
        return DensePart(model, 0, [])
    vectors = [tensor for layer in tables for tensor in keras.tree.flatten(layer.output)]
    # The ids stay among the inputs: they also say where a sequence ends.
    network = keras.Model([*vectors, *model.inputs], _outputs(model))
    return DensePart(network, len(vectors), [layer.name for layer in tables])


def _outputs(model: keras.Model) -> Any:
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def _arranged(part: DensePart, x: list[Any]) -> Any:
    if part.tables:
        return x
    if isinstance(part.network, keras.Sequential):
        return x[0]
    return keras.tree.pack_sequence_as(part.network.input, x)


def _holds_tables(layer: Any) -> bool:
    return any(getattr(variable, "row_sparse", False) for variable in layer.variables) or any(
        type(part).__name__ == "DistributedEmbedding"
        for part in nested_layers(layer, include_self=True)
    )


def lower(model: keras.Model, part: DensePart, batch_size: int) -> bytes:
    """The training step of a compiled model as a serialized HLO module.

    Forward pass, loss, gradients of weights and of looked-up vectors, the update of
    the dense optimizer, metrics: what `fit` runs on one replica.

    Args:
        model: the compiled model.
        part: its `dense_part`.
        batch_size: rows of one replica.

    Raises:
        RefusedOpsError: ops that XLA cannot compile.
    """
    network = part.network
    optimizer = _dense_optimizer(model)
    weights = network.trainable_variables
    optimizer.build(weights)
    # Builds the loss and the metrics, whose variables must not be made while tracing.
    few = keras.tree.map_structure(lambda t: tf.zeros((2, *t.shape[1:]), t.dtype), _outputs(model))
    model.compute_loss(None, few, few)
    model.compute_metrics(None, few, few)

    def spec(tensor: Any) -> tf.TensorSpec:
        return tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype)

    inputs = len(network.inputs)
    labels = _outputs(model)
    # One argument per tensor: only so can shapes be compiled without a batch.
    specs = [spec(tensor) for tensor in (*network.inputs, *keras.tree.flatten(labels))]

    def step(*tensors: Any) -> Any:
        x = list(tensors[:inputs])
        y = keras.tree.pack_sequence_as(labels, tensors[inputs:])
        vectors = x[: part.vectors]
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            predicted = network(_arranged(part, x), training=True)
            loss = model.compute_loss(None, y, predicted)
        gradients = tape.gradient(loss, weights + vectors)
        optimizer.apply(gradients[: len(weights)], weights)
        return loss, gradients[len(weights) :], model.compute_metrics(None, y, predicted)

    compiled = tf.function(step, jit_compile=True, autograph=False)
    try:
        with for_tpu(), warnings.catch_warnings():
            # The replacement, `platform_name`, does not take functions that read variables.
            warnings.filterwarnings("ignore", "device_name is being deprecated")
            stages = compiled.experimental_get_compiler_ir(*specs)
            return stages(stage="hlo_serialized", device_name="/device:CPU:0")
    except (ValueError, tf.errors.OpError) as error:
        ops = sorted(set(re.findall(r"(\w+) \(No registered '\w+' OpKernel for XLA", str(error))))
        if not ops:
            raise
        raise RefusedOpsError(
            ops,
            f"A TPU would refuse the ops {ops} of model '{model.name}'. "
            f"TensorFlow says: {str(error).strip().splitlines()[0][:500]}",
        ) from error


def _dense_optimizer(model: keras.Model) -> Any:
    optimizer = model.optimizer.dense if isinstance(model.optimizer, Split) else model.optimizer
    return type(optimizer).from_config(optimizer.get_config())
