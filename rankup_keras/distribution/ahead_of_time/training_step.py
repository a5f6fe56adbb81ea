"""What is compiled of a model as one XLA module, its embedding tables left out."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.xla import RefusedByXLAError, lowered
from rankup_keras.kernels.program import for_tpu
from rankup_keras.models.dense_part import DensePart, outputs_of
from rankup_keras.models.step_devices import devices_of_step, has_strategy, on_device_of
from rankup_keras.optimizers import Split


class RefusedOpsError(ValueError):
    """The training step has ops that XLA cannot compile.

    Attributes:
        ops: their names.
    """

    def __init__(self, ops: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.ops = list(ops)


def dense_step(model: keras.Model, part: DensePart) -> Callable[..., Any]:
    """The training step of a compiled model behind its tables.

    Forward pass, loss, gradients of weights and of looked-up vectors, the update of
    the dense optimizer, metrics: what `fit` runs on one replica.

    Args:
        model: the compiled model.
        part: its `dense_part`.

    Returns:
        A function of one tensor for every input of the part's network and for every label, in the
        order of `keras.tree.flatten` of the model's outputs. It returns the loss, the gradients of
        looked-up vectors and the metrics; slots of its own, so that it is no step of `fit`.
    """
    network = part.network
    weights = network.trainable_variables
    with on_device_of(model):
        optimizer = _dense_optimizer(model)
        optimizer.build(weights)
        # Builds the loss and the metrics, whose variables must not be made while tracing.
        few = keras.tree.map_structure(
            lambda t: tf.zeros((2, *t.shape[1:]), t.dtype), outputs_of(model)
        )
        model.compute_loss(None, few, few)
        model.compute_metrics(None, few, few)
    inputs = len(network.inputs)
    labels = outputs_of(model)

    def step(*tensors: Any) -> Any:
        x = list(tensors[:inputs])
        y = keras.tree.pack_sequence_as(labels, tensors[inputs:])
        vectors = x[: part.vectors]
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            predicted = part(x, training=True)
            loss = model.compute_loss(None, y, predicted)
        gradients = tape.gradient(loss, weights + vectors)
        optimizer.apply(gradients[: len(weights)], weights)
        return loss, gradients[len(weights) :], model.compute_metrics(None, y, predicted)

    return step


def lower(
    model: keras.Model,
    part: DensePart,
    batch_size: int,
    forms: Callable[[], contextlib.AbstractContextManager[None]] = for_tpu,
) -> bytes:
    """`dense_step` as a serialized HLO module.

    Args:
        model: the compiled model.
        part: its `dense_part`.
        batch_size: rows of one replica.
        forms: makes the context in which kernels take the forms of a platform.

    Raises:
        RefusedOpsError: ops that XLA cannot compile.
    """
    # One argument per tensor: only so can shapes be compiled without a batch.
    tensors = [*part.network.inputs, *keras.tree.flatten(outputs_of(model))]
    return _lowered(model, dense_step(model, part), tensors, batch_size, forms)


def lower_scoring(
    model: keras.Model,
    part: DensePart,
    batch_size: int,
    forms: Callable[[], contextlib.AbstractContextManager[None]],
) -> bytes:
    """What `predict` computes of a batch behind the tables, as `lower` has what `fit` does."""

    def scores(*tensors: Any) -> Any:
        return part(list(tensors), training=False)

    return _lowered(model, scores, part.network.inputs, batch_size, forms)


def _lowered(
    model: keras.Model,
    function: Callable[..., Any],
    tensors: Sequence[Any],
    batch_size: int,
    forms: Callable[[], contextlib.AbstractContextManager[None]],
) -> bytes:
    specs = [tf.TensorSpec((batch_size, *t.shape[1:]), t.dtype) for t in tensors]
    device = None if has_strategy(model) else devices_of_step(model)[0]
    try:
        with forms():
            return lowered(function, specs, device)
    except RefusedByXLAError as error:
        if not error.ops:
            raise
        raise RefusedOpsError(
            error.ops, f"XLA would refuse the ops {error.ops} of model '{model.name}'."
        ) from error


def _dense_optimizer(model: keras.Model) -> Any:
    optimizer = model.optimizer.dense if isinstance(model.optimizer, Split) else model.optimizer
    return type(optimizer).from_config(optimizer.get_config())
