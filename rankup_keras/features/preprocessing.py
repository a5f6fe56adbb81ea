"""The preprocessing graph of a feature set: raw columns in, packed tensors out."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features import columns, encoding, event_encoding, tensors
from rankup_keras.features.autotuning import without_autotuner
from rankup_keras.features.events import Events
from rankup_keras.features.feature import Feature
from rankup_keras.features.graph_errors import plain_errors
from rankup_keras.features.history import History
from rankup_keras.features.layout import Layout, joint_encoding
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.pretrained import Pretrained
from rankup_keras.features.target import missing_columns_error
from rankup_keras.features.tensor_names import named
from rankup_keras.features.timestamp import Timestamp
from rankup_keras.features.vocabulary_lookup import VocabularyLookup


class Preprocessing(Layout):
    """What a `FeatureSet` does with rows, once it has learned what there is to learn."""

    def _describe(self, features: Sequence[Feature]) -> None:
        features = [features] if isinstance(features, Feature) else features
        # Those of another set may learn other types. What events hold is copied with them.
        self.features = [
            copy.deepcopy(f) if isinstance(f, Events) else copy.copy(f) for f in features
        ]
        self.check_features()
        self._moments: dict[str, tuple[float, float]] = {}
        self._lookups: dict[str, VocabularyLookup] = {}
        self._encode_fn: Any = None

    def call(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        return self.encode_counted(raw)[0]

    def encode_counted(self, raw: Mapping[str, Any]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """What a call gives, and for all events the counts that `warn_of_events` takes."""
        spec = self.raw_spec()
        missing = [name for name in spec if name not in raw]
        if missing:
            raise missing_columns_error(missing, [str(name) for name in raw])
        raw = {name: tensors.cast_tensor(raw[name], item) for name, item in spec.items()}
        encoded: dict[str, tf.Tensor] = {}
        slots, channels, counts = self.encode_events(raw)
        ids = self._encode_ids(raw) + slots
        if ids:
            encoded["encoded_ids"] = tf.concat(ids, axis=1)
        if channels is not None:
            encoded["encoded_events"] = channels
        if self.numeric_names():
            numeric = [self.centered(f.name, raw[f.name]) for f in self.of_type(Numeric)]
            times = [raw[f.name] for f in self.of_type(Timestamp)]
            encoded["encoded_numeric"] = self.encode_numeric(
                tf.stack(numeric, axis=1) if numeric else None, times
            )
        vectors = [encoding.clean_vectors(raw[f.name]) for f in self.of_type(Pretrained)]
        if vectors:
            encoded["encoded_vectors"] = tf.concat(vectors, axis=1)
        return encoded, counts

    def centered(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """A numeric feature's column as float32, by its mean where float32 has no room for it."""
        feature = next(f for f in self.of_type(Numeric) if f.name == name)
        return encoding.centered(values, feature, self._moments.get(name, (0.0, 1.0))[0])

    def encode_numeric(self, values: tf.Tensor | None, times: Sequence[tf.Tensor]) -> tf.Tensor:
        """The part of a call that makes `encoded_numeric`.

        Args:
            values: what `centered` gives (batch, numeric features), `None` without any.
            times: int64 (batch,) of every `Timestamp`.
        """
        parts = []
        if values is not None:
            numeric = self.of_type(Numeric)
            moments = self._moments_of(numeric)
            parts.append(encoding.encode_numeric(values, numeric, moments[:, 0], moments[:, 1]))
        for feature, own in zip(self.of_type(Timestamp), times, strict=True):
            if feature.cycles:
                parts.append(event_encoding.request_cycles(feature, own))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)

    def _moments_of(self, numeric: Sequence[Numeric]) -> np.ndarray:
        return np.array([self._moments.get(f.name, (0.0, 1.0)) for f in numeric]).reshape(-1, 2)

    def encode_events(
        self, raw: Mapping[str, tf.Tensor], ids: Mapping[str, tf.Tensor] | None = None
    ) -> tuple[list[tf.Tensor], tf.Tensor | None, tf.Tensor]:
        """The part of a call that encodes events.

        Args:
            raw: the columns, of lists that may be of any width, and times of requests.
            ids: the ids of the columns of ids, where they are known: then `raw` needs none.

        Returns:
            The id slots, the channels, and counts int64 (events, 2), see
            `event_encoding.encode_events`.
        """
        slots: list[tf.Tensor] = []
        channels, counts = [], []
        for feature in self.of_type(Events):
            lists = {c: (ids or raw)[c] if c in feature.ids else raw[c] for c in feature.columns}
            own = event_encoding.check_widths(feature, lists)
            request = next((f for f in self.features if f.name == feature.request_time), None)
            found = event_encoding.encode_events(
                feature,
                request if isinstance(request, Timestamp) else None,
                [own[c] if ids else self.ids(c, own[c]) for c in feature.ids],
                [own[c] for c in feature.actions],
                [own[c] for c in feature.numbers],
                self._moments_of(feature.scaled),
                own.get(feature.time or ""),
                raw.get(feature.request_time or ""),
            )
            slots += found[0]
            channels.append(found[1])
            counts.append(found[2])
        joined = tf.concat(channels, axis=1) if channels else None
        return slots, joined, tf.stack(counts) if counts else tf.zeros((0, 2), tf.int64)

    def warn_of_events(self, counts: Any) -> None:
        """Warns of events that are not before their request: in training rows they are leaks.

        Args:
            counts: int64 (events, 2): how many there were, and how many of them not before.
        """
        for feature, (total, late) in zip(self.of_type(Events), np.asarray(counts), strict=True):
            if late:
                warnings.warn(
                    f"{late:,} of {total:,} events {feature.name!r} are not known to be before "
                    f"their row's {feature.request_time!r} (at it, after it, or one time is "
                    "missing). They are left out.",
                    stacklevel=2,
                )

    def ids(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """Ids of values, in the table that a categorical feature or sequence reads.

        Args:
            name: the feature's name.
            values: string or int64 tensor of any shape, as the feature declares.

        Returns:
            int32 tensor of the same shape, 0 for missing values; with a last
            axis of every value's ids where the feature has `num_hashes` > 1.
        """
        feature = self.table_owner(name)
        if feature.hash_buckets is not None:
            return encoding.value_ids(values, feature.hash_buckets, feature.num_hashes)
        if feature.num_ids is not None:
            return encoding.integer_ids(values, feature.num_ids)
        return tf.cast(self._lookups[feature.name](values), tf.int32)

    def _encode_ids(self, raw: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        parts: list[tf.Tensor] = []
        # Neighbours that one operation encodes are encoded at once: in a step of a small model a
        # dozen small operations a column would count.
        for kind, neighbors in groupby(self.in_slot_order(), key=joint_encoding):
            if kind is None:
                parts += [self._encode_column(f, raw[f.name]) for f in neighbors]
                continue
            run: list[Any] = list(neighbors)
            values = tf.stack([raw[f.name] for f in run], axis=1)
            if kind == "integer":
                parts.append(encoding.integer_ids(values, [f.num_ids for f in run]))
            else:
                buckets, hashes = ([f.hash_buckets for f in run], [f.num_hashes for f in run])
                parts.append(encoding.hash_ids(values, buckets, hashes))
        return parts

    def _encode_column(self, feature: Any, values: tf.Tensor) -> tf.Tensor:
        if feature.max_length is None:
            return self.ids(feature.name, values[:, None])
        keep = feature.keep if isinstance(feature, History) else "first"
        return encoding.fixed_length(self.ids(feature.name, values), feature.max_length, keep)

    def encode(self, data: Any) -> Any:
        """Raw rows → encoded rows, on the host.

        Args:
            data: a batched `tf.data.Dataset` of columns, or of tuples that
                start with them, or columns in memory (dict, frame, table).

        Returns:
            A dataset of the same structure with the columns encoded, or a dict
            of NumPy arrays.
        """
        if isinstance(data, tf.data.Dataset):
            element = data.element_spec
            tensors.check_dataset_spec(tensors.dataset_columns(data), self.raw_spec())

            told: set[str] = set()

            def tell(counts: Any) -> None:
                if not told and np.asarray(counts)[:, 1].any():
                    told.add("once")
                    self.warn_of_events(counts)

            # AutoGraph would rewrite all of the encoding, for seconds, to change nothing.
            @tf.autograph.experimental.do_not_convert
            def encode(*item: Any) -> Any:
                encoded, counts = self.encode_counted(item[0])
                if self.of_type(Events):
                    # On the host, whose program can be told of the first batch with such events.
                    with tf.control_dependencies([tf.py_function(tell, [counts], [])]):
                        encoded = {name: tf.identity(x) for name, x in encoded.items()}
                return (encoded, *item[1:]) if isinstance(element, tuple) else encoded

            encoded = data.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
            return without_autotuner(encoded.prefetch(tf.data.AUTOTUNE))
        spec = self.raw_spec()
        return self._encode_arrays(columns.convert_columns(data, spec, self.targets()))

    def _encode_arrays(self, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        spec = self.raw_spec()
        if self._encode_fn is None:
            # One trace for all batch sizes and history widths.
            self._encode_fn = tf.function(
                self.encode_counted, input_signature=[named(spec)], autograph=False
            )
        counts = []

        def encode(part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            encoded, found = self._encode_fn(part)
            counts.append(found.numpy())
            return encoded

        with plain_errors():
            encoded = encoding.in_chunks(encode, raw, spec)
        self.warn_of_events(np.sum(counts, axis=0))
        return encoded
