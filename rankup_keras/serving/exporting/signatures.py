"""The endpoints of an export: functions of named raw columns, traced into its graph."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.features.tensor_names import named, tensor_names
from rankup_keras.kernels.program import on_host
from rankup_keras.serving.client.messages import EXAMPLES, example_column, to_examples
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.input_checks import check_columns, check_one_row, check_vector
from rankup_keras.serving.exporting.precast_kernels import PrecastKernels
from rankup_keras.serving.exporting.rank_graph import RankGraph
from rankup_keras.serving.exporting.rank_inputs import RankInputs, Tensors
from rankup_keras.serving.padding import missing_value

EMBEDDING = "embedding"


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A signature before it is written: its function, inputs and the method a server may check.

    `columns` has the name of each input in requests, which need not be one that TensorFlow takes.
    """

    function: Callable[[Tensors], Tensors]
    spec: Mapping[str, tf.TensorSpec]
    method: str
    columns: Mapping[str, str]


def build_endpoints(described: ExportDescription) -> dict[str, Endpoint]:
    """The functions of every signature that was described."""
    functions = _Functions(described)
    return {name: functions.endpoint(name) for name in described.signatures}


def request_kind(signature: str) -> str:
    """The call that a signature answers: `"predict"`, `"classify"` or `"regress"`."""
    kind = signature.partition("_")[0]
    return kind if kind in ("classify", "regress") else "predict"


def request_columns(
    signature: str, rows: Mapping[str, np.ndarray], inputs: RankInputs
) -> dict[str, np.ndarray]:
    """Full rows as a signature takes them."""
    if request_kind(signature) != "predict":
        return example_column(to_examples(rows))
    return inputs.user_once(rows) if signature == "rank" else dict(rows)


def pooled_model(model: keras.Model, layer: str) -> keras.Model:
    """The part of the model up to the layer whose output `embed` returns."""
    output = model.get_layer(layer).output
    # With task tokens the pooling returns those too, after the shared vector.
    return keras.Model(model.input, output[0] if isinstance(output, list | tuple) else output)


class _Functions:
    """The signatures' functions. They share one trace of the preprocessing and one of the model."""

    def __init__(self, described: ExportDescription):
        self._model, self._tasks = described.model, described.tasks
        self._features, self._inputs = described.model.features, described.inputs
        self._spec = described.inputs.spec
        self._pooled_layer = described.pooled
        self._kernels = PrecastKernels(described.model)
        # Not while `rank` is traced, since it makes a layer.
        self._rank_graph = RankGraph(described.model, described.inputs)
        encoded = {
            key: tf.TensorSpec((None, *shape), dtype, name=key)
            for key, (shape, dtype) in self._features.encoded_spec().items()
        }
        self._encode = tf.function(
            self._checked_encode, input_signature=[named(self._spec)], autograph=False
        )
        self._scores = tf.function(self._model_scores, input_signature=[encoded], autograph=False)

    def endpoint(self, name: str) -> Endpoint:
        kind = request_kind(name)
        task = name.partition("_")[2] or self._tasks[0]
        functions: dict[str, Callable[[Tensors], Tensors]] = {
            "serving_default": self._score,
            "rank": self._rank,
            "embed": self._embed,
            "classify": self._classify,
        }
        function = functions.get(name, lambda inputs: self._regress(inputs, task))
        examples = {EXAMPLES: tf.TensorSpec((None,), tf.string, name=EXAMPLES)}
        spec = self._spec if kind == "predict" else examples
        names = tensor_names(spec)
        return Endpoint(
            lambda inputs: function({column: inputs[names[column]] for column in spec}),
            {names[column]: item for column, item in named(spec).items()},
            f"tensorflow/serving/{kind}",
            {tensor: column for column, tensor in names.items()},
        )

    def _score(self, columns: Tensors) -> Tensors:
        return self._scores(self._encode(columns))

    def _rank(self, columns: Tensors) -> Tensors:
        user, candidates = (
            check_columns(columns, {name: self._spec[name] for name in names}, rows)
            for names, rows in (
                (self._inputs.user, "rows"),
                (self._inputs.candidate, "candidates"),
            )
        )
        user = check_one_row(user, "the user's columns")
        count = tf.shape(candidates[self._inputs.candidate[0]])[0]
        encoded = self._inputs.encode(self._encode, user, candidates)
        with self._kernels.scope():
            return self._by_task(self._rank_graph(*encoded, count))

    def _embed(self, columns: Tensors) -> Tensors:
        pooled = pooled_model(self._model, self._pooled_layer)
        with self._kernels.scope():
            vectors = pooled(self._encode(columns), training=False)
        width = math.prod(vectors.shape[1:])
        return {EMBEDDING: tf.cast(tf.reshape(vectors, (-1, width)), tf.float32)}

    def _classify(self, inputs: Tensors) -> Tensors:
        scores = self._example_scores(inputs)
        stacked = tf.stack([scores[task] for task in self._tasks], axis=1)
        classes = tf.tile(tf.constant([self._tasks]), [tf.shape(stacked)[0], 1])
        return {"classes": classes, "scores": stacked}

    def _regress(self, inputs: Tensors, task: str) -> Tensors:
        return {"outputs": self._example_scores(inputs)[task]}

    def _example_scores(self, inputs: Tensors) -> Tensors:
        return self._score(parse_examples(check_vector(inputs[EXAMPLES]), self._spec))

    def _checked_encode(self, columns: Tensors) -> Tensors:
        # Strings live on the host, and a GPU would launch a hundred kernels for a few numbers.
        with on_host():
            return self._features(check_columns(columns, self._spec))

    def _model_scores(self, encoded: Tensors) -> Tensors:
        with self._kernels.scope():
            return self._by_task(self._model(encoded, training=False))

    def _by_task(self, outputs: Mapping[str, Any]) -> Tensors:
        return {task: tf.reshape(tf.cast(outputs[task], tf.float32), (-1,)) for task in self._tasks}


def parse_examples(examples: tf.Tensor, spec: Mapping[str, tf.TensorSpec]) -> Tensors:
    """Serialized `tf.Example` protos to raw columns.

    A single-valued column or a vector must be present; a multi-valued column that is absent is
    an empty list.
    """
    lists = {name for name, s in spec.items() if s.shape.rank == 2 and s.shape[1] is None}
    columns = tf.io.parse_example(
        examples,
        {
            name: tf.io.VarLenFeature(item.dtype)
            if name in lists
            else tf.io.FixedLenFeature(item.shape[1:], item.dtype)
            for name, item in spec.items()
        },
    )
    for name in lists:
        columns[name] = tf.sparse.to_dense(columns[name], missing_value(spec[name]))
    return columns
