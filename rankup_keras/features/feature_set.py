"""Everything a row is: the features, what was learned about them, and their preprocessing."""

import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.raw_inputs import take_raw_inputs
from rankup_keras.features import columns, encoding, supplied_statistics, tensors
from rankup_keras.features.autotuning import without_autotuner
from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature
from rankup_keras.features.history import History
from rankup_keras.features.layout import Layout, joint_encoding
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.pretrained import Pretrained
from rankup_keras.features.spec import TableSpec
from rankup_keras.features.statistics import Learner, wide_target
from rankup_keras.features.target import Target, missing_columns_error
from rankup_keras.features.tensor_names import named
from rankup_keras.features.vocabulary_lookup import VocabularyLookup


@serializable
class FeatureSet(Layout, keras.layers.Layer):
    """Describes a row once, for training, evaluation and serving alike.

    Calling it turns raw columns into a few packed tensors. It is TensorFlow
    code only, so the same instance is mapped over `tf.data` on the host while
    training and baked into the exported graph for serving: the two cannot
    differ.

    `keras.utils.FeatureSpace` is the general tool for small tabular models: it
    also discretizes and crosses, and concatenates one-hot columns into one
    dense vector. A `FeatureSet` serves ranking models: ids stay ids, for large
    embedding tables, with histories, multi-valued columns, double hashing,
    user and candidate sides, and vocabularies of millions of values learned
    from files that exceed memory.

    The packed tensors, each left out where nothing of its kind is described:

    - `encoded_ids`: int32 (batch, slots), read by the embedding tables;
    - `encoded_numeric`: float32 (batch, numeric features + indicators);
    - `encoded_vectors`: float32 (batch, widths of all pretrained vectors).

    Args:
        features: list of `Categorical`, `Numeric`, `History`, `Pretrained`.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad_id": ["a", "b"], "price": [3.5, None], "clicked_ads": [["b"], []]}
    features = rk.FeatureSet([
        rk.Categorical("ad_id", hash_buckets=1_000_000),
        rk.Numeric("price", normalize="log"),
        rk.History("clicked_ads", of="ad_id", max_length=50),
    ])
    encoded = features.adapt(rows).encode(rows)
    assert encoded["encoded_ids"].shape == (2, 1 + 50)
    ```

    Raises:
        ValueError: two features of one name, or a `History` of a feature that
            is not there or not single-valued.
    """

    def __init__(self, features: Sequence[Feature], **kwargs: Any) -> None:
        super().__init__(autocast=False, dtype="float32", **kwargs)
        take_raw_inputs(self)
        self.features = list(features)
        self.check_features()
        self._by_name = {feature.name: feature for feature in self.features}
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

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Feature:
        return self._by_name[name]

    # Learning from data

    @property
    def is_adapted(self) -> bool:
        return not self._unadapted()

    @property
    def lookups(self) -> Mapping[str, VocabularyLookup]:
        """Name of a feature with a vocabulary → the layer that holds it."""
        return self._lookups

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
        self.check_not_frozen()
        self._infer_dtypes(data)
        spec = self.raw_spec()
        # Of those that learn nothing too: now, not at the first batch.
        columns.check_types(data, spec)
        targets = {
            f.name: wide_target(f, Target.of_spec(spec[f.name], getattr(f, "num_ids", None)))
            for f in self.features
            if isinstance(f, Numeric)
            or (isinstance(f, Categorical) and (f.learns_vocabulary or f.num_ids is not None))
        }
        with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
            learner = Learner(self.features, targets, Path(folder))
            learner.learn(data)
            scaled = [f.name for f in self.of_type(Numeric) if f.normalize is not None]
            moments = {name: learner.moments[name].statistics() for name in scaled}
            return self.set_statistics({n: learner.write(n) for n in learner.counts}, moments)

    def set_statistics(
        self,
        vocabularies: Mapping[str, Any] | None = None,
        moments: Mapping[str, tuple[float, float]] | None = None,
        dtypes: Mapping[str, str] | None = None,
    ) -> "FeatureSet":
        """Takes what another engine learned, in place of `adapt`: SQL, Spark, Beam.

        Features that are not named keep what they have.

        Args:
            vocabularies: dict from a categorical feature's name to its
                vocabulary, a list of values or the path of a text file with
                one value per line; the most frequent value first by custom.
            moments: dict from a numeric feature's name to mean and standard
                deviation of its known values, of `sign(x) log(1 + |x|)` for
                `normalize="log"`.
            dtypes: dict from a categorical feature's name to `"string"` or
                `"int64"`, for those declared without. Defaults to what the
                listed values are, to `"string"` for a file.

        Returns:
            The feature set itself.

        Raises:
            RuntimeError: a model was already built on this feature set.
            ValueError: a name is not that of a feature that learns this, or
                the value cannot be its vocabulary or moments.

        Example:

        ```python
        features.set_statistics(
            vocabularies={"ad_id": ["a17", "a3"]}, moments={"price": (1.7, 0.4)}
        )
        ```
        """
        self.check_not_frozen()
        taken = supplied_statistics.checked_vocabularies(
            self.features, vocabularies or {}, dtypes or {}
        )
        found = supplied_statistics.checked_moments(self.features, moments or {})
        self._moments.update(found)
        for name, pair in found.items():
            numeric: Any = self._by_name[name]
            numeric.dtype = numeric.dtype or numeric.learned_dtype(*pair)
        for feature, vocabulary, dtype in taken:
            self._set_dtype(feature, dtype)
            self._take_vocabulary(feature, vocabulary)
        self._encode_fn = None  # what was learned is a constant of the traced preprocessing
        return self

    def check_not_frozen(self) -> None:
        """Raises `RuntimeError` if a model was built on this feature set."""
        if self._frozen_by:
            raise RuntimeError(
                f"New statistics would change the tables of model {self._frozen_by!r}, which was "
                "built on this feature set. Make a new FeatureSet for a new model."
            )

    def _take_vocabulary(self, feature: Categorical, vocabulary: Any) -> None:
        lookup = self._lookups[feature.name]
        if isinstance(vocabulary, str):
            self._sizes[feature.name] = lookup.set_vocabulary_file(vocabulary)
        else:
            self._sizes[feature.name] = lookup.set_vocabulary(vocabulary)

    def _infer_dtypes(self, data: Any) -> None:
        for feature in self.of_type(Categorical):
            if feature.dtype is None:
                ints = columns.is_integer_column(data, feature.name)
                self._set_dtype(feature, "int64" if ints else "string")

    def _set_dtype(self, feature: Categorical, dtype: str) -> None:
        feature.dtype = dtype
        self._lookups[feature.name].dtype_in = dtype

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

    def tables(self) -> list[TableSpec]:
        """The embedding tables that the categorical features need."""
        return [
            TableSpec(feature.name, self._rows(feature), feature.embedding_dim)
            for feature in self.of_type(Categorical)
        ]

    def _rows(self, feature: Categorical) -> int:
        if feature.hash_buckets is not None:
            return 1 + feature.hash_buckets
        if feature.num_ids is not None:
            return 2 + feature.num_ids
        return 1 + int(feature.oov_buckets or 1) + self._sizes[feature.name]

    # Preprocessing

    def call(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        spec = self.raw_spec()
        missing = [name for name in spec if name not in raw]
        if missing:
            raise missing_columns_error(missing, [str(name) for name in raw])
        raw = {name: tensors.cast_tensor(raw[name], item) for name, item in spec.items()}
        encoded: dict[str, tf.Tensor] = {}
        ids = self._encode_ids(raw)
        if ids:
            encoded["encoded_ids"] = tf.concat(ids, axis=1)
        numeric = [self.centered(f.name, raw[f.name]) for f in self.of_type(Numeric)]
        if numeric:
            encoded["encoded_numeric"] = self.normalize(tf.stack(numeric, axis=1))
        vectors = [encoding.clean_vectors(raw[f.name]) for f in self.of_type(Pretrained)]
        if vectors:
            encoded["encoded_vectors"] = tf.concat(vectors, axis=1)
        return encoded

    def centered(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """A numeric feature's column as float32, by its mean where float32 has no room for it."""
        feature: Any = self._by_name[name]
        return encoding.centered(values, feature, self._moments.get(name, (0.0, 1.0))[0])

    def normalize(self, values: tf.Tensor) -> tf.Tensor:
        """The part of a call that makes `encoded_numeric`, of `centered` (batch, features)."""
        numeric = self.of_type(Numeric)
        moments = np.array([self._moments.get(f.name, (0.0, 1.0)) for f in numeric])
        return encoding.encode_numeric(values, numeric, moments[:, 0], moments[:, 1])

    def ids(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """Ids of values, in the table that a categorical feature or sequence reads.

        Args:
            name: the feature's name.
            values: string or int64 tensor of any shape, as the feature declares.

        Returns:
            int32 tensor of the same shape, 0 for missing values; with a last
            axis of every value's ids where the feature has `num_hashes` > 1.
        """
        feature: Any = self._by_name[name]
        feature = self._by_name[feature.of] if isinstance(feature, History) else feature
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

            def encode(*item: Any) -> Any:
                encoded = self(item[0])
                return (encoded, *item[1:]) if isinstance(element, tuple) else encoded

            encoded = data.map(encode, num_parallel_calls=tf.data.AUTOTUNE)
            return without_autotuner(encoded.prefetch(tf.data.AUTOTUNE))
        return self._encode_arrays(columns.convert_columns(data, self.raw_spec()))

    def _encode_arrays(self, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        spec = self.raw_spec()
        if self._encode_fn is None:
            # One trace for all batch sizes and history widths.
            self._encode_fn = tf.function(self.__call__, input_signature=[named(spec)])
        return encoding.in_chunks(self._encode_fn, raw, spec)

    # Saving

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("dtype", None)
        features = []
        for feature in self.features:
            item = keras.saving.serialize_keras_object(feature)
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
        features.restore(learned)
        return features

    def restore(self, learned: Mapping[str, Any]) -> None:
        """Takes what `get_config` holds of `learned`; vocabularies follow as assets."""
        self._sizes.update(learned.get("sizes", {}))
        self._moments.update({n: tuple(pair) for n, pair in learned.get("moments", {}).items()})
