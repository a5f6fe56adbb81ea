"""What preprocessing takes and gives, which depends on the features alone."""

from collections import Counter
from typing import Any

import tensorflow as tf

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature
from rankup_keras.features.history import History
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.pretrained import Pretrained
from rankup_keras.features.spec import FieldSpec, Kind


class Layout:
    """Raw columns, order of id slots and packed tensors of a `FeatureSet`, which inherits it."""

    features: list[Feature]

    def check_features(self) -> None:
        """Raises `ValueError` or `TypeError` unless the features go together."""
        if not self.features:
            raise ValueError("`features` must name at least one feature. Received an empty list.")
        for feature in self.features:
            if not isinstance(feature, Feature):
                raise TypeError(
                    "`features` must be a list of Categorical, Numeric, History or Pretrained. "
                    f"Received an item of type {type(feature).__name__}."
                )
        names = [feature.name for feature in self.features]
        duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
        if duplicates:
            raise ValueError(f"`features` must have different names. Duplicates: {duplicates}.")
        singles = [f.name for f in self.of_type(Categorical) if f.max_length is None]
        for feature in self.of_type(History):
            if feature.of not in singles:
                raise ValueError(
                    f"`of` of history {feature.name!r} must name a single-valued Categorical: "
                    f"one of {singles}. Received: of={feature.of!r}."
                )

    def of_type(self, kind: type) -> list[Any]:
        """The features of one class, in order."""
        return [feature for feature in self.features if isinstance(feature, kind)]

    def raw_spec(self) -> dict[str, tf.TensorSpec]:
        """Name → `tf.TensorSpec` of every raw column, batch dimension `None`.

        Multi-valued columns and histories are `(None, None)`: any width is
        padded or cut in the graph. Padding is `""` or -1.
        """
        spec = {feature.name: feature.raw_spec() for feature in self.features}
        for feature in self.of_type(History):
            dtype = spec[feature.of].dtype
            spec[feature.name] = tf.TensorSpec((None, None), dtype, name=feature.name)
        return spec

    def hashed_singles(self, dtype: str) -> list[Categorical]:
        """Single-valued hashed features of one type, which are hashed in one op."""
        return [
            f
            for f in self.of_type(Categorical)
            if f.hash_buckets is not None and f.max_length is None and f.dtype == dtype
        ]

    def in_slot_order(self) -> list[Any]:
        """Categorical features and sequences in the order of their id slots."""
        hashed = self.hashed_singles("string") + self.hashed_singles("int64")
        names = {feature.name for feature in hashed}
        rest = [f for f in self.features if isinstance(f, Categorical | History)]
        return hashed + [f for f in rest if f.name not in names]

    def fields(self) -> list[FieldSpec]:
        """The id slots of `encoded_ids`, one `FieldSpec` per categorical feature or history."""
        starts, start = {}, 0
        for feature in self.in_slot_order():
            starts[feature.name] = start
            start += self._slots(feature)
        fields = []
        for feature in self.features:
            if isinstance(feature, Categorical):
                table = feature.name
                kind: Kind = "single" if feature.max_length is None else "bag"
            elif isinstance(feature, History):
                table, kind = feature.of, "sequence"
            else:
                continue
            fields.append(
                FieldSpec(
                    name=feature.name,
                    table=table,
                    start=starts[feature.name],
                    length=feature.max_length or 1,
                    kind=kind,
                    combiner=feature.combiner,
                    hashes=self.hashes(feature),
                )
            )
        return fields

    def hashes(self, feature: Categorical | History) -> int:
        """How many ids a value of a feature has."""
        if isinstance(feature, History):
            return next(f.num_hashes for f in self.of_type(Categorical) if f.name == feature.of)
        return feature.num_hashes

    def _slots(self, feature: Categorical | History) -> int:
        return (feature.max_length or 1) * self.hashes(feature)

    def numeric_names(self) -> list[str]:
        """Names of the columns of `encoded_numeric`."""
        numeric = self.of_type(Numeric)
        return [f.name for f in numeric] + [f"{f.name}:missing" for f in numeric if f.indicator]

    def encoded_spec(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name → (shape without batch, dtype) of what a call returns."""
        spec: dict[str, tuple[tuple[int, ...], str]] = {}
        slots = sum(map(self._slots, self.in_slot_order()))
        if slots:
            spec["encoded_ids"] = ((slots,), "int32")
        if self.of_type(Numeric):
            spec["encoded_numeric"] = ((len(self.numeric_names()),), "float32")
        if self.of_type(Pretrained):
            spec["encoded_vectors"] = ((sum(f.dim for f in self.of_type(Pretrained)),), "float32")
        return spec


def joint_encoding(feature: Any) -> str | None:
    """What tells single-valued columns that one operation encodes together; `None` for others."""
    if not isinstance(feature, Categorical) or feature.max_length is not None:
        return None
    if feature.hash_buckets is not None:
        return f"hashed {feature.dtype}"
    return None if feature.num_ids is None else "integer"
