"""`Encoder`: ids of columns, looked up once for every different value of a chunk."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.data.block import Block
from rankup_keras.data.packing import joined, key, one_chunk
from rankup_keras.features import FeatureSet, History
from rankup_keras.features.encoding import clean_vectors, fixed_length_rows
from rankup_keras.features.target import Target


class Encoder:
    """Does what a `FeatureSet` does with a batch, before rows are shuffled and batched.

    Text is what costs, and a value occurs many times in a chunk. So pyarrow
    finds the distinct values of every column, the feature set's own TensorFlow
    functions give their ids, and from there on a row is a few numbers. Ids are
    those of the exported graph, since the same functions make them.
    """

    def __init__(self, features: FeatureSet, targets: Sequence[Target]) -> None:
        self._features = features
        chosen = [t for t in targets if t.role == "feature"]
        spec = {name: shape for name, (shape, _) in features.encoded_spec().items()}
        fields = {field.name: field for field in features.fields()}
        self._slots = spec.get("encoded_ids", (0,))[0]
        # In the order in which the lookup takes them: text first, then integers.
        self._columns = [t for kind in ("string", "int64") for t in chosen if t.kind == kind]
        self._fields = [fields[t.name] for t in self._columns]
        self._texts = sum(t.kind == "string" for t in self._columns)
        self._keeps = [_keep(features, t.name) for t in self._columns]
        floats = [t for t in targets if t.kind in ("float32", "float64") and t.shape == "single"]
        self._numeric = [t for t in floats if t.role == "feature"]
        self._beside = [t for t in floats if t.role != "feature"]
        self._vectors = [t for t in chosen if t.shape == "vector"]
        self._lookup = tf.function(
            self._ids,
            input_signature=[
                tf.TensorSpec((), tf.string),
                tf.TensorSpec((), tf.string),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((len(self._columns),), tf.int32),
            ],
        )

    # Chunks, in Python

    def __call__(self, table: pa.Table) -> Block:
        """A table's rows: ids in their slots, other values as they are."""
        rows = table.num_rows
        arrays: dict[str, np.ndarray] = {}
        if self._columns:
            arrays["ids"] = self._encoded_ids(table, rows)
        floats = [*self._numeric, *self._beside]
        if floats:
            matrix = np.empty((rows, len(floats)), np.float32)
            for number, target in enumerate(floats):
                column = one_chunk(table.column(key(target))).to_numpy()
                if target.kind == "float64":
                    column = self._features.centered(target.name, tf.constant(column)).numpy()
                matrix[:, number] = column
            arrays["floats"] = matrix
        if self._vectors:
            blocks = [one_chunk(table.column(key(t))).flatten().to_numpy() for t in self._vectors]
            shaped = [b.reshape(rows, t.dim) for b, t in zip(blocks, self._vectors, strict=True)]
            arrays["vectors"] = np.concatenate(shaped, axis=1)
        return Block(arrays)

    def _encoded_ids(self, table: pa.Table, rows: int) -> np.ndarray:
        columns = [one_chunk(table.column(key(t))) for t in self._columns]
        flat = [
            c.flatten() if t.shape == "list" else c
            for c, t in zip(columns, self._columns, strict=True)
        ]
        coded = [a if pa.types.is_dictionary(a.type) else a.dictionary_encode() for a in flat]
        values = [array.dictionary for array in coded]
        sizes = [len(array) for array in values]
        text, separator = joined(values[: self._texts])
        ints = [array.to_numpy() for array in values[self._texts :]]
        known = self._lookup(
            tf.constant(text),
            tf.constant(separator),
            tf.constant(np.concatenate([np.zeros(0, np.int64), *ints])),
            tf.constant(sizes, tf.int32),
        ).numpy()
        encoded = np.empty((rows, self._slots), np.int32)
        start = 0
        for number, field in enumerate(self._fields):
            places = coded[number].indices.to_numpy()
            end = start + sizes[number] * field.hashes
            ids = known[start:end]
            start = end
            if field.hashes > 1:
                ids = ids.reshape(-1, field.hashes)
            ids = ids[places]
            if self._columns[number].shape == "list":
                lengths = pc.list_value_length(columns[number]).to_numpy()
                ids = fixed_length_rows(ids, lengths, field.length, self._keeps[number])
            encoded[:, field.start : field.start + field.slots] = ids.reshape(rows, field.slots)
        return encoded

    def _ids(
        self, text: tf.Tensor, separator: tf.Tensor, ints: tf.Tensor, sizes: tf.Tensor
    ) -> tf.Tensor:
        split = tf.raw_ops.StringSplitV2(input=[text], sep=separator).values[1:]
        parts: list[tf.Tensor] = []
        for values, own in (
            (split, slice(0, self._texts)),
            (ints, slice(self._texts, None)),
        ):
            names = [target.name for target in self._columns[own]]
            columns = tf.split(values, sizes[own], num=len(names)) if names else []
            parts += map(self._features.ids, names, columns)
        return tf.concat([tf.reshape(part, (-1,)) for part in parts], axis=0)

    # Batches, in TensorFlow

    @property
    def signature(self) -> dict[str, tf.TensorSpec]:
        """What the arrays of a block are, for `tf.data.Dataset.from_generator`."""
        spec = {}
        if self._columns:
            spec["ids"] = tf.TensorSpec((None, self._slots), tf.int32)
        if self._numeric or self._beside:
            width = len(self._numeric) + len(self._beside)
            spec["floats"] = tf.TensorSpec((None, width), tf.float32)
        if self._vectors:
            spec["vectors"] = tf.TensorSpec((None, sum(t.dim for t in self._vectors)), tf.float32)
        return spec

    def arrange(self, arrays: Mapping[str, tf.Tensor]) -> Any:
        """A block's arrays → encoded columns, labels and weights."""
        encoded: dict[str, tf.Tensor] = {}
        if self._columns:
            encoded["encoded_ids"] = arrays["ids"]
        if self._numeric:
            values = arrays["floats"][:, : len(self._numeric)]
            encoded["encoded_numeric"] = self._features.normalize(values)
        if self._vectors:
            parts = tf.split(arrays["vectors"], [t.dim for t in self._vectors], axis=1)
            encoded["encoded_vectors"] = tf.concat([clean_vectors(part) for part in parts], axis=1)
        labels, weights = {}, []
        for number, target in enumerate(self._beside, start=len(self._numeric)):
            if target.role == "label":
                labels[target.name] = arrays["floats"][:, number]
            else:
                weights.append(arrays["floats"][:, number])
        return (encoded, labels, *weights) if labels else encoded


def _keep(features: FeatureSet, name: str) -> str:
    feature = features[name]
    return feature.keep if isinstance(feature, History) else "first"
