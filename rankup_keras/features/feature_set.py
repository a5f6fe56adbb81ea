"""Everything a row is: the features, what was learned about them, and their preprocessing."""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceABC
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features import adapting, columns, encoding
from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature, serialize_feature
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.pretrained import Pretrained
from rankup_keras.features.sequence import Sequence
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.features.vocabulary_lookup import VocabularyLookup

ENCODE_CHUNK = 65_536


@serializable
class FeatureSet(keras.layers.Layer):
    """Describes a row once, for training, evaluation and serving alike.

    Calling it turns raw columns into a few packed tensors. It is TensorFlow
    code only, so the same instance is mapped over `tf.data` on the host while
    training and baked into the exported graph for serving: the two cannot
    differ.

    The packed tensors, each left out where nothing of its kind is described:

    - `encoded_ids`: int32 (batch, slots), read by the embedding tables;
    - `encoded_numeric`: float32 (batch, numeric features + indicators);
    - `encoded_vectors`: float32 (batch, widths of all pretrained vectors).

    Args:
        features: list of `Categorical`, `Numeric`, `Sequence`, `Pretrained`.

    Example:

    ```python
    features = rankup_keras.FeatureSet([
        rankup_keras.Categorical("ad_id", hash_buckets=1_000_000),
        rankup_keras.Numeric("price", normalize="log"),
        rankup_keras.Sequence("clicked_ads", of="ad_id", max_length=50),
    ])
    features.adapt(train)
    ```

    Raises:
        ValueError: two features of one name, or a `Sequence` of a feature that
            is not there or not single-valued.
    """

    def __init__(self, features: SequenceABC[Feature], **kwargs: Any) -> None:
        super().__init__(autocast=False, dtype="float32", **kwargs)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.features = list(features)
        if not self.features:
            raise ValueError("`features` must name at least one feature. Received an empty list.")
        for feature in self.features:
            if not isinstance(feature, Feature):
                raise TypeError(
                    "`features` must be a list of Categorical, Numeric, Sequence or Pretrained. "
                    f"Received an item of type {type(feature).__name__}."
                )
        self._by_name = {feature.name: feature for feature in self.features}
        if len(self._by_name) < len(self.features):
            names = [feature.name for feature in self.features]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"`features` must have different names. Given twice: {twice}.")
        for feature in self.of_type(Sequence):
            owner = self._by_name.get(feature.of)
            if not isinstance(owner, Categorical) or owner.max_length is not None:
                singles = [f.name for f in self.of_type(Categorical) if f.max_length is None]
                raise ValueError(
                    f"`of` of sequence {feature.name!r} must name a single-valued Categorical: "
                    f"one of {singles}. Received: of={feature.of!r}."
                )
        self._moments: dict[str, tuple[float, float]] = {}
        self._sizes: dict[str, int] = {}
        self._lookups: dict[str, VocabularyLookup] = {}
        self._frozen_by: str | None = None
        self._encode_fn: Any = None
        for feature in self.of_type(Categorical):
            if feature.uses_vocabulary:
                self._lookups[feature.name] = VocabularyLookup(
                    feature.dtype or "string",
                    feature.oov_buckets,
                    feature.name,
                    name=f"vocabulary_{len(self._lookups)}",
                )
                if feature.vocabulary is not None:
                    self._take_vocabulary(feature, feature.vocabulary)
        self.built = True

    def of_type(self, kind: type) -> list[Any]:
        """The features of one class, in order."""
        return [feature for feature in self.features if isinstance(feature, kind)]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Feature:
        return self._by_name[name]

    # Learning from data

    @property
    def is_adapted(self) -> bool:
        return not self._unadapted()

    def _unadapted(self) -> list[str]:
        names = [name for name in self._lookups if name not in self._sizes]
        numeric = [f.name for f in self.of_type(Numeric) if f.normalize is not None]
        return names + [name for name in numeric if name not in self._moments]

    def adapt(self, data: Any) -> "FeatureSet":
        """Learns vocabularies, means and standard deviations in one pass.

        Args:
            data: training rows: a dict of columns, a pandas frame, a pyarrow
                table, `(columns, labels)`, or a batched `tf.data.Dataset` of
                either.

        Returns:
            The feature set itself.

        Raises:
            RuntimeError: a model was already built on this feature set.
            ValueError: a column is missing, empty, or has ids out of range.
        """
        if self._frozen_by:
            raise RuntimeError(
                f"`adapt` would change the tables of model {self._frozen_by!r}, which was built "
                "on this feature set. Make a new FeatureSet for a new model."
            )
        self._infer_dtypes(data)
        learners: list[adapting.Vocabulary | adapting.Moments] = [
            adapting.Vocabulary(f) for f in self.of_type(Categorical) if f.learns_vocabulary
        ]
        learners += [adapting.Moments(f) for f in self.of_type(Numeric)]
        plain = [f for f in self.of_type(Categorical) if f.num_ids is not None]
        spec = self.raw_spec()
        needed = {learner.feature.name for learner in learners} | {f.name for f in plain}
        rows = 0
        for batch in adapting.batches(data, {name: spec[name] for name in spec if name in needed}):
            for learner in learners:
                learner.update(batch[learner.feature.name])
            for feature in plain:
                adapting.check_plain_ids(feature, batch[feature.name])
            rows += len(next(iter(batch.values()))) if batch else 0
        if needed and not rows:
            raise ValueError("`data` has no rows to adapt to.")
        for learner in learners:
            if isinstance(learner, adapting.Moments):
                self._moments[learner.feature.name] = learner.statistics()
            else:
                self._take_vocabulary(learner.feature, learner.values())
        # What was learned is a constant of the traced preprocessing.
        self._encode_fn = None
        return self

    def _take_vocabulary(self, feature: Categorical, vocabulary: Any) -> None:
        lookup = self._lookups[feature.name]
        if isinstance(vocabulary, str):
            self._sizes[feature.name] = lookup.set_vocabulary_file(vocabulary)
        elif not vocabulary:
            raise ValueError(
                f"Feature {feature.name!r} has no value in `data` that occurs at least "
                f"{feature.min_count} times, so its vocabulary would be empty."
            )
        else:
            self._sizes[feature.name] = lookup.set_vocabulary(vocabulary)

    def _infer_dtypes(self, data: Any) -> None:
        for feature in self.of_type(Categorical):
            if feature.dtype is None:
                ints = adapting.holds_integers(data, feature.name)
                feature.dtype = "int64" if ints else "string"
                self._lookups[feature.name].dtype_in = feature.dtype

    def freeze(self, model_name: str) -> None:
        """Refuses further `adapt` calls: a model's table sizes depend on what was learned."""
        missing = self._unadapted()
        if missing:
            raise ValueError(
                f"Features {missing} have learned nothing yet. Call `features.adapt(train)` "
                "before building a model."
            )
        self._frozen_by = model_name

    # What comes in, what goes out

    def raw_spec(self) -> dict[str, tf.TensorSpec]:
        """Name → `tf.TensorSpec` of every raw column, batch dimension `None`.

        Multi-valued columns and sequences are `(None, None)`: any width is
        padded or cut in the graph. Padding is `""` or -1.
        """
        spec = {feature.name: feature.raw_spec() for feature in self.features}
        for feature in self.of_type(Sequence):
            dtype = spec[feature.of].dtype
            spec[feature.name] = tf.TensorSpec((None, None), dtype, name=feature.name)
        return spec

    def tables(self) -> list[TableSpec]:
        """The embedding tables that the categorical features need."""
        return [
            TableSpec(feature.name, self._rows(feature), feature.embedding_dim)
            for feature in self.of_type(Categorical)
        ]

    def fields(self) -> list[FieldSpec]:
        """The id slots of `encoded_ids`, one `FieldSpec` a categorical feature or sequence."""
        starts, start = {}, 0
        for feature in self._in_slot_order():
            starts[feature.name] = start
            start += feature.max_length or 1
        fields = []
        for feature in self.features:
            if isinstance(feature, Categorical):
                table, kind = feature.name, feature.kind
            elif isinstance(feature, Sequence):
                table, kind = feature.of, "sequence"
            else:
                continue
            fields.append(
                FieldSpec(
                    name=feature.name,
                    table=table,
                    start=starts[feature.name],
                    length=feature.max_length or 1,
                    kind=kind,  # type: ignore[arg-type]  # a str, narrowed above
                    combiner=feature.combiner,
                )
            )
        return fields

    def numeric_names(self) -> list[str]:
        """Names of the columns of `encoded_numeric`."""
        numeric = self.of_type(Numeric)
        return [f.name for f in numeric] + [f"{f.name}:missing" for f in numeric if f.indicator]

    def encoded_spec(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name → (shape without batch, dtype) of what a call returns."""
        spec: dict[str, tuple[tuple[int, ...], str]] = {}
        slots = sum(f.max_length or 1 for f in self._in_slot_order())
        if slots:
            spec["encoded_ids"] = ((slots,), "int32")
        if self.of_type(Numeric):
            spec["encoded_numeric"] = ((len(self.numeric_names()),), "float32")
        if self.of_type(Pretrained):
            spec["encoded_vectors"] = ((sum(f.dim for f in self.of_type(Pretrained)),), "float32")
        return spec

    def _rows(self, feature: Categorical) -> int:
        if feature.hash_buckets is not None:
            return 1 + feature.hash_buckets
        if feature.num_ids is not None:
            return 2 + feature.num_ids
        return 1 + int(feature.oov_buckets or 1) + self._sizes[feature.name]

    def _hashed_singles(self, dtype: str) -> list[Categorical]:
        return [
            f
            for f in self.of_type(Categorical)
            if f.hash_buckets is not None and f.max_length is None and f.dtype == dtype
        ]

    def _in_slot_order(self) -> list[Any]:
        # Hashed single-valued columns first: they are hashed together, in one op for all.
        hashed = self._hashed_singles("string") + self._hashed_singles("int64")
        names = {feature.name for feature in hashed}
        rest = [f for f in self.features if isinstance(f, Categorical | Sequence)]
        return hashed + [f for f in rest if f.name not in names]

    # Preprocessing

    def call(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        spec = self.raw_spec()
        missing = [name for name in spec if name not in raw]
        if missing:
            raise columns.missing_columns_error(missing, [str(name) for name in raw])
        raw = {name: columns.cast_tensor(raw[name], item) for name, item in spec.items()}
        encoded: dict[str, tf.Tensor] = {}
        ids = self._encode_ids(raw)
        if ids:
            encoded["encoded_ids"] = tf.concat(ids, axis=1)
        numeric = self.of_type(Numeric)
        if numeric:
            moments = np.array([self._moments.get(f.name, (0.0, 1.0)) for f in numeric])
            values = tf.stack([raw[f.name] for f in numeric], axis=1)
            encoded["encoded_numeric"] = encoding.encode_numeric(
                values, numeric, moments[:, 0], moments[:, 1]
            )
        vectors = [encoding.clean_vectors(raw[f.name]) for f in self.of_type(Pretrained)]
        if vectors:
            encoded["encoded_vectors"] = tf.concat(vectors, axis=1)
        return encoded

    def _encode_ids(self, raw: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        parts: list[tf.Tensor] = []
        done: set[str] = set()
        for dtype in ("string", "int64"):
            hashed = self._hashed_singles(dtype)
            if hashed:
                values = tf.stack([raw[f.name] for f in hashed], axis=1)
                parts.append(encoding.hash_ids(values, [f.hash_buckets or 1 for f in hashed]))
                done.update(f.name for f in hashed)
        for feature in self._in_slot_order():
            if feature.name in done:
                continue
            values = raw[feature.name]
            if feature.max_length is None:
                values = values[:, None]
            owner = feature if isinstance(feature, Categorical) else self._by_name[feature.of]
            ids = self._ids_of(owner, values)
            if feature.max_length is not None:
                keep = feature.keep if isinstance(feature, Sequence) else "first"
                ids = encoding.fixed_length(ids, feature.max_length, keep)
            parts.append(ids)
        return parts

    def _ids_of(self, feature: Any, values: tf.Tensor) -> tf.Tensor:
        if feature.hash_buckets is not None:
            return encoding.hash_ids(values, [feature.hash_buckets])
        if feature.num_ids is not None:
            return encoding.plain_ids(values, feature.num_ids)
        return tf.cast(self._lookups[feature.name](values), tf.int32)

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
            columns.check_dataset_spec(columns.dataset_columns(data), self.raw_spec())

            def encode(*item: Any) -> Any:
                encoded = self(item[0])
                return (encoded, *item[1:]) if isinstance(element, tuple) else encoded

            return data.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
        return self._encode_arrays(columns.convert_columns(data, self.raw_spec()))

    def _encode_arrays(self, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        spec = self.raw_spec()
        if self._encode_fn is None:
            # One trace for all batch sizes and history widths.
            self._encode_fn = tf.function(self.__call__, input_signature=[spec])
        rows = len(next(iter(raw.values())))
        chunks = []
        for start in range(0, max(rows, 1), ENCODE_CHUNK):
            part = {
                name: tf.constant(value[start : start + ENCODE_CHUNK], spec[name].dtype)
                for name, value in raw.items()
            }
            chunks.append({name: v.numpy() for name, v in self._encode_fn(part).items()})
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    # Saving

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("dtype", None)
        features = []
        for feature in self.features:
            item = serialize_feature(feature)
            if isinstance(feature, Categorical) and feature.uses_vocabulary:
                # Vocabularies travel as assets: a config is JSON, and a path may be gone.
                item["config"]["vocabulary"] = None
            features.append(item)
        config.update(
            features=features,
            learned={
                "sizes": dict(self._sizes),
                "moments": {name: list(pair) for name, pair in self._moments.items()},
            },
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FeatureSet":
        config = dict(config)
        learned = config.pop("learned", {})
        config["features"] = [
            keras.saving.deserialize_keras_object(item) for item in config["features"]
        ]
        features = cls(**config)
        features._sizes.update(learned.get("sizes", {}))
        features._moments.update(
            {name: tuple(pair) for name, pair in learned.get("moments", {}).items()}
        )
        return features
