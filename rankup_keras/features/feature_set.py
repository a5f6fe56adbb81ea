"""Everything a row is: the features, what was learned about them, and their preprocessing."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.compat.raw_inputs import take_raw_inputs
from rankup_keras.features import columns, supplied_statistics
from rankup_keras.features.categorical import Categorical
from rankup_keras.features.events import Events
from rankup_keras.features.feature import Feature
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.preprocessing import Preprocessing
from rankup_keras.features.spec import TableSpec
from rankup_keras.features.statistics import Learner, wide_target
from rankup_keras.features.vocabulary_lookup import VocabularyLookup


@serializable
class FeatureSet(Preprocessing, keras.layers.Layer):
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
    - `encoded_vectors`: float32 (batch, widths of all pretrained vectors);
    - `encoded_events`: float32 (batch, lengths of all events times what is known
      of each beside its ids).

    Args:
        features: list of `Categorical`, `Numeric`, `History`, `Events`,
            `Timestamp`, `Pretrained`.

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
        ValueError: two features of one name, or a `History` or `Events` of a
            feature that is not there or not single-valued.
    """

    def __init__(self, features: Sequence[Feature], **kwargs: Any) -> None:
        super().__init__(autocast=False, dtype="float32", **kwargs)
        take_raw_inputs(self)
        self._describe(features)
        self._by_name = {feature.name: feature for feature in self.features}
        self._sizes: dict[str, int] = {}
        self._frozen_by: str | None = None
        for feature in self.leaves(Categorical):
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

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __getitem__(self, name: str) -> Feature:
        if name not in self._by_name:
            raise KeyError(f"No feature is named {name!r}; there are {[*self]}.")
        return self._by_name[name]

    # Learning from data

    @property
    def is_adapted(self) -> bool:
        return not self._unadapted()

    @property
    def lookups(self) -> Mapping[str, VocabularyLookup]:
        """Name of a feature with a vocabulary → the layer that holds it."""
        return self._lookups

    @property
    def moments(self) -> Mapping[str, tuple[float, float]]:
        """Name of a numeric feature → its mean and standard deviation."""
        return self._moments

    def _unadapted(self) -> list[str]:
        names = [name for name in self._lookups if name not in self._sizes]
        numeric = [f.name for f in self.leaves(Numeric) if f.normalize is not None]
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
        described = self.targets()
        # Of those that learn nothing too: now, not at the first batch.
        columns.check_types(data, described)
        targets = {
            f.name: wide_target(
                f,
                dataclasses.replace(described[f.name], num_ids=getattr(f, "num_ids", None)),
                again=True,
            )
            for f in self.features
            if isinstance(f, Numeric)
            or (isinstance(f, Categorical) and (f.learns_vocabulary or f.num_ids is not None))
        }
        targets |= {f.name: described[f.name] for e in self.of_type(Events) for f in e.scaled}
        targets |= {name: target for name, target in described.items() if target.unit is not None}
        with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
            learner = Learner(self.leaves(Feature), targets, Path(folder))
            learner.learn(data)
            scaled = [f.name for f in self.leaves(Numeric) if f.normalize is not None]
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
        numeric = {f.name: f for f in self.leaves(Numeric)}
        found = supplied_statistics.checked_moments(numeric.values(), moments or {})
        self._moments.update(found)
        for name, pair in found.items():
            if not numeric[name].declares_dtype:
                numeric[name].dtype = numeric[name].learned_dtype(*pair)
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
        """The embedding tables that the categorical features and the events need."""
        tables = [
            TableSpec(feature.name, self._rows(feature), feature.embedding_dim)
            for feature in self.leaves(Categorical)
        ]
        gaps = [e for e in self.of_type(Events) if e.gap]
        return tables + [TableSpec(e.gap, 1 + e.time_buckets) for e in gaps]

    def _rows(self, feature: Categorical) -> int:
        if feature.hash_buckets is not None:
            return 1 + feature.hash_buckets
        if feature.num_ids is not None:
            return 2 + feature.num_ids
        return 1 + int(feature.oov_buckets or 1) + self._sizes[feature.name]

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
