"""The ways into an export: functions of named raw columns, traced into its graph."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.serving.guard import guarded

METHODS = {
    "classify": "tensorflow/serving/classify",
    "regress": "tensorflow/serving/regress",
}

Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], list[Any]]


def named_spec(spec: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    """The spec with every tensor named after its column, which is what the server shows."""
    return {name: tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in spec.items()}


def serving_default(model: keras.Model) -> Endpoint:
    """Named dense raw columns, one row an example, to one probability a task and row."""
    spec = model.features.raw_spec()

    def score(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return scores(model, model.features(guarded(columns, spec)))

    return score, [named_spec(spec)]


def scores(model: keras.Model, encoded: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Encoded columns to one float32 vector (batch,) a task."""
    outputs = model(encoded, training=False)
    return {task: tf.reshape(tf.cast(p, tf.float32), (-1,)) for task, p in outputs.items()}


def task_names(model: keras.Model) -> list[str]:
    """The tasks in the model's own order, the first being the primary one."""
    tasks = getattr(model, "tasks", None)
    if tasks:
        return [getattr(task, "name", task) for task in tasks]
    return list(model.output)


def endpoints(model: keras.Model, names: Sequence[str]) -> dict[str, Endpoint]:
    """Function and input signature of each named signature."""
    makers = {"serving_default": serving_default}
    unknown = sorted(set(names) - set(makers))
    if unknown:
        raise ValueError(
            f"`signatures` must be among {sorted(makers)}. Received: signatures={list(names)}"
        )
    return {name: makers[name](model) for name in names}
