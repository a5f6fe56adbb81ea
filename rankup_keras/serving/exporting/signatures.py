"""The ways into an export: functions of named raw columns, traced into its graph."""

import math
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from rankup_keras.serving.exporting.guard import assert_one_row, guarded
from rankup_keras.serving.exporting.held_kernels import HeldKernels
from rankup_keras.serving.exporting.rank_graph import RankGraph
from rankup_keras.serving.exporting.sides import Sides

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
EXAMPLES = "inputs"
EMBEDDING = "embedding"

Tensors = dict[str, tf.Tensor]
Endpoint = tuple[Callable[[Tensors], Tensors], dict[str, tf.TensorSpec]]


class Signatures:
    """Makes the signatures of one model.

    Args:
        model: the model, with `features`.
        user_columns: columns that `rank` takes once; see `Sides`.
        pooled: name of the layer whose output `embed` gives. Defaults to `"pooling"`.
    """

    def __init__(
        self,
        model: keras.Model,
        user_columns: Sequence[str] | None = None,
        pooled: str = "pooling",
    ):
        self.model = model
        self.features = model.features
        self.spec = named_spec(self.features.raw_spec())
        self.tasks = task_names(model)
        self.sides = Sides(self.features, user_columns)
        self._pooled = pooled
        self._graph = RankGraph(model, self.sides)
        self._held = HeldKernels(model)
        # One trace of the preprocessing and one of the model, that all signatures share.
        encoded = {
            key: tf.TensorSpec((None, *shape), dtype, name=key)
            for key, (shape, dtype) in self.features.encoded_spec().items()
        }
        self._encode = tf.function(
            self._checked_encode, input_signature=[self.spec], autograph=False
        )
        self._scores = tf.function(self._raw_scores, input_signature=[encoded], autograph=False)

    def available(self) -> list[str]:
        """Names of the signatures that this model can have, `serving_default` first."""
        names = ["serving_default", "classify", "regress"]
        # One regression gives one number: further tasks get signatures of their own.
        names += [f"regress_{task}" for task in self.tasks[1:]]
        if self.sides.user:
            names.append("rank")
        if any(layer.name == self._pooled for layer in self.model.layers):
            names.append("embed")
        return names

    def method(self, name: str) -> str | None:
        """The method name that a server may check, where it is not predict."""
        kind = name.partition("_")[0]
        return {"classify": CLASSIFY, "regress": REGRESS}.get(kind)

    def endpoint(self, name: str) -> Endpoint:
        """A signature's function of a dict of tensors and the dict of its input specs."""
        if name not in self.available():
            raise ValueError(f"`signatures` must be among {self.available()}. Received: {name!r}")
        examples = {EXAMPLES: tf.TensorSpec((None,), tf.string, name=EXAMPLES)}
        if name == "rank":
            return self._rank, self.spec
        if name == "embed":
            return self._embed, self.spec
        if name == "classify":
            return self._classify, examples
        if name.startswith("regress"):
            task = name.partition("_")[2] or self.tasks[0]
            return lambda inputs: self._regress(inputs, task), examples
        return self._score, self.spec

    def _score(self, columns: Tensors) -> Tensors:
        return self._scores(self._encode(columns))

    def _checked_encode(self, columns: Tensors) -> Tensors:
        return self.features(guarded(columns, self.spec))

    def _raw_scores(self, encoded: Mapping[str, tf.Tensor]) -> Tensors:
        with self._held.scope():
            outputs = self.model(encoded, training=False)
        return self._flat(outputs)

    def _flat(self, outputs: Mapping[str, tf.Tensor]) -> Tensors:
        return {task: tf.reshape(tf.cast(outputs[task], tf.float32), (-1,)) for task in self.tasks}

    def _rank(self, columns: Tensors) -> Tensors:
        sides = self.sides
        user = guarded(
            {name: columns[name] for name in sides.user},
            {name: self.spec[name] for name in sides.user},
        )
        candidates = guarded(
            {name: columns[name] for name in sides.candidate},
            {name: self.spec[name] for name in sides.candidate},
            "candidates",
        )
        with tf.control_dependencies([assert_one_row(user, "the user's columns")]):
            user = {name: tf.identity(value) for name, value in user.items()}
        encoded = sides.encode(self._encode, user, candidates)
        with self._held.scope():
            outputs = self._graph(*encoded)
        return self._flat(outputs)

    def _embed(self, columns: Tensors) -> Tensors:
        return {EMBEDDING: self.embeddings(self._encode(columns))}

    def embeddings(self, encoded: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Encoded columns to the pooled representation, float32 (batch, width)."""
        output = self.model.get_layer(self._pooled).output
        # With task tokens the pooling hands those on beside the shared vector.
        output = output[0] if isinstance(output, list | tuple) else output
        with self._held.scope():
            vectors = keras.Model(self.model.input, output)(encoded, training=False)
        width = math.prod(vectors.shape[1:])
        return tf.cast(tf.reshape(vectors, (-1, width)), tf.float32)

    def _classify(self, inputs: Tensors) -> Tensors:
        scores = self._parsed_scores(inputs)
        stacked = tf.stack([scores[task] for task in self.tasks], axis=1)
        classes = tf.tile(tf.constant([self.tasks]), [tf.shape(stacked)[0], 1])
        return {"classes": classes, "scores": stacked}

    def _regress(self, inputs: Tensors, task: str) -> Tensors:
        return {"outputs": self._parsed_scores(inputs)[task]}

    def _parsed_scores(self, inputs: Tensors) -> Tensors:
        examples = tf.raw_ops.PlaceholderWithDefault(input=inputs[EXAMPLES], shape=None)
        columns = parse_examples(tf.ensure_shape(examples, (None,)), self.spec)
        return self._scores(self._encode(columns))


def parse_examples(examples: tf.Tensor, spec: Mapping[str, tf.TensorSpec]) -> Tensors:
    """Serialized `tf.Example` protos to raw columns.

    A single-valued column or a vector must be present; a multi-valued column that is absent is
    an empty list.
    """
    wanted = {}
    for name, item in spec.items():
        if item.shape.rank == 1 or item.shape[1] is not None:
            wanted[name] = tf.io.FixedLenFeature(item.shape[1:], item.dtype)
        else:
            wanted[name] = tf.io.VarLenFeature(item.dtype)
    columns = tf.io.parse_example(examples, wanted)
    padding = {tf.string: "", tf.int64: -1}
    return {
        name: tf.sparse.to_dense(value, padding.get(value.dtype, float("nan")))
        if isinstance(value, tf.SparseTensor)
        else value
        for name, value in columns.items()
    }


def named_spec(spec: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    """The spec with every tensor named after its column, which is what the server shows."""
    return {name: tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in spec.items()}


def task_names(model: keras.Model) -> list[str]:
    """The tasks in the model's own order, the first being the primary one."""
    tasks = getattr(model, "tasks", None)
    if tasks:
        return [getattr(task, "name", task) for task in tasks]
    return list(model.output)
