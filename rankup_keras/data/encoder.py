"""`Encoder`: ids of columns, looked up once for every different value of a chunk."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.data.block import Block
from rankup_keras.data.data_error import DataError
from rankup_keras.data.packing import joined, key, one_chunk
from rankup_keras.features import Events, FeatureSet, History, Timestamp
from rankup_keras.features.encoding import clean_vectors, fixed_length_rows
from rankup_keras.features.graph_errors import sentence
from rankup_keras.features.target import PADDING, Target
from rankup_keras.features.tensor_names import named

# Events that are arranged at once, padding included.
CELLS = 1 << 21


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
        self._channels = spec.get("encoded_events", (0,))[0]
        # In the order in which the lookup takes them: text first, then integers.
        self._columns = [
            t for kind in ("string", "int64") for t in chosen if t.kind == kind and t.name in fields
        ]
        self._fields = [fields[t.name] for t in self._columns]
        self._events = [t for t in chosen if t.aligned]
        self._times = [t for f in features.of_type(Timestamp) for t in chosen if t.name == f.name]
        self.counts = np.zeros((len(features.of_type(Events)), 2), np.int64)
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
            autograph=False,
        )
        lists: dict[str, tf.TensorSpec] = {t.name: t.spec() for t in self._events}
        for target, field in zip(self._columns, self._fields, strict=True):
            if target.aligned:
                hashes = [field.hashes] if field.hashes > 1 else []
                lists[target.name] = tf.TensorSpec((None, None, *hashes), tf.int32)
        lists |= {t.name: t.spec() for t in self._times}
        self._arrange_events = tf.function(
            lambda raw: features.encode_events(raw, ids=raw),
            input_signature=[named(lists)],
            autograph=False,
        )

    # Chunks, in Python

    def __call__(self, table: pa.Table) -> Block:
        """A table's rows: ids in their slots, other values as they are."""
        rows = table.num_rows
        arrays: dict[str, np.ndarray] = {}
        times = {t.name: one_chunk(table.column(key(t))).to_numpy() for t in self._times}
        if self._columns:
            arrays["ids"], of_events = self._encoded_ids(table, rows)
            if self._events:
                slots, arrays["events"] = self._encoded_events(table, of_events, times)
                arrays["ids"][:, self._slots - slots.shape[1] :] = slots
        if times:
            arrays["times"] = np.stack(list(times.values()), axis=1)
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

    def _encoded_ids(self, table: pa.Table, rows: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The id slots, those of events still empty, and the events' ids, list after list."""
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
        of_events = {}
        start = 0
        for number, field in enumerate(self._fields):
            places = coded[number].indices.to_numpy()
            end = start + sizes[number] * field.hashes
            ids = known[start:end]
            start = end
            if field.hashes > 1:
                ids = ids.reshape(-1, field.hashes)
            ids = ids[places]
            if self._columns[number].aligned:
                of_events[field.name] = ids
                continue
            if self._columns[number].shape == "list":
                lengths = pc.list_value_length(columns[number]).to_numpy()
                ids = fixed_length_rows(ids, lengths, field.length, self._keeps[number])
            encoded[:, field.start : field.start + field.slots] = ids.reshape(rows, field.slots)
        return encoded, of_events

    def _encoded_events(
        self, table: pa.Table, ids: Mapping[str, np.ndarray], times: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The events' id slots and channels."""
        columns = {t: one_chunk(table.column(key(t))) for t in self._events}
        lengths = {t: pc.list_value_length(x).to_numpy() for t, x in columns.items()}
        flat = {
            t: (ids[t.name], 0)
            if t.name in ids
            else (x.flatten().to_numpy(zero_copy_only=False), PADDING[t.kind])
            for t, x in columns.items()
        }
        ends = {t: np.cumsum(x) for t, x in lengths.items()}
        widest = max(int(x.max(initial=1)) for x in lengths.values())
        step = max(1, CELLS // max(1, widest))
        slots, channels = [], []
        for start in range(0, max(1, table.num_rows), step):
            raw = {name: column[start : start + step] for name, column in times.items()}
            for target, (values, padding) in flat.items():
                own, until = lengths[target][start : start + step], ends[target]
                first = int(until[start - 1]) if start else 0
                dense = np.full((len(own), int(own.max(initial=0)), *values.shape[1:]), padding)
                dense = dense.astype(values.dtype)
                dense[np.arange(dense.shape[1]) < own[:, None]] = values[first : first + own.sum()]
                raw[target.name] = dense
            try:
                found, of_events, counts = self._arrange_events(raw)
            except tf.errors.InvalidArgumentError as error:
                raise DataError(sentence(error) or str(error)) from error
            slots.append(tf.concat(found, axis=1).numpy())
            channels.append(of_events.numpy())
            self.counts += counts.numpy()
        return np.concatenate(slots), np.concatenate(channels)

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
        if self._events:
            spec["events"] = tf.TensorSpec((None, self._channels), tf.float32)
        if self._times:
            spec["times"] = tf.TensorSpec((None, len(self._times)), tf.int64)
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
        if self._events:
            encoded["encoded_events"] = arrays["events"]
        if self._features.numeric_names():
            values = arrays["floats"][:, : len(self._numeric)] if self._numeric else None
            times = tf.unstack(arrays["times"], axis=1) if self._times else []
            encoded["encoded_numeric"] = self._features.encode_numeric(values, times)
        if self._vectors:
            parts = tf.split(arrays["vectors"], [t.dim for t in self._vectors], axis=1)
            encoded["encoded_vectors"] = tf.concat([clean_vectors(part) for part in parts], axis=1)
        labels, weights = {}, []
        for number, target in enumerate(self._beside, start=len(self._numeric)):
            if target.role in ("label", "rate"):
                labels[target.name] = arrays["floats"][:, number]
            else:
                weights.append(arrays["floats"][:, number])
        return (encoded, labels, *weights) if labels else encoded


def _keep(features: FeatureSet, name: str) -> str:
    return {f.name: f.keep for f in features.of_type(History)}.get(name, "first")
