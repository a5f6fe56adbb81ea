"""What preprocessing takes and gives, which depends on the features alone."""

import dataclasses
from collections import Counter
from typing import Any

import tensorflow as tf

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.events import Events
from rankup_keras.features.feature import Feature
from rankup_keras.features.history import History
from rankup_keras.features.numeric import Numeric
from rankup_keras.features.pretrained import Pretrained
from rankup_keras.features.spec import FieldSpec, Kind, MatchSpec
from rankup_keras.features.target import Target
from rankup_keras.features.timestamp import Timestamp


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
                    "`features` must be a list of Categorical, Numeric, History, Events, Timestamp "
                    "or Pretrained. "
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
        for events in self.of_type(Events):
            unknown = [
                of for of in events.ids.values() if isinstance(of, str) and of not in singles
            ]
            if unknown:
                raise ValueError(
                    f"`ids` of events {events.name!r} must read the tables of single-valued "
                    f"Categorical features, {singles}, or have a list of values or a number of "
                    f"ids. Received: {unknown}."
                )
            times = [f.name for f in self.of_type(Timestamp)]
            if events.request_time is not None and events.request_time not in times:
                raise ValueError(
                    f"`request_time` of events {events.name!r} must name a Timestamp: one of "
                    f"{times}. Received: request_time={events.request_time!r}."
                )
        self.matches()
        columns = [c for f in self.features for c in self.columns_of(f)]
        columns += [f.name for f in self.of_type(Events)]
        twice = sorted({c for c in columns if columns.count(c) > 1})
        if twice:
            raise ValueError(
                "The columns of `features`, and the names of events, must be different. "
                f"Received twice: {twice}."
            )

    def of_type(self, kind: type) -> list[Any]:
        """The features of one class, in order."""
        return [feature for feature in self.features if isinstance(feature, kind)]

    def leaves(self, kind: type) -> list[Any]:
        """`of_type`, and what events hold of that class: columns that learn or look up."""
        parts = [p for e in self.of_type(Events) for p in (*e.owned, *e.scaled)]
        return [f for f in (*self.features, *parts) if isinstance(f, kind)]

    @staticmethod
    def columns_of(feature: Feature) -> list[str]:
        """The raw columns of a feature."""
        return feature.columns if isinstance(feature, Events) else [feature.name]

    def table_owner(self, name: str) -> Any:
        """The `Categorical` whose ids the values of a column are."""
        singles = {f.name: f for f in self.leaves(Categorical)}
        of = {f.name: f.of for f in self.of_type(History)}
        of |= {c: table for e in self.of_type(Events) for c, table in e.fields.items()}
        return singles[of.get(name, name)]

    def targets(self) -> dict[str, Target]:
        """Column → what it is to become, with what a `TensorSpec` has no place for."""
        found = {}
        units = {f.name: f.unit for f in self.of_type(Timestamp)}
        spec = self.raw_spec()
        for feature in self.features:
            for column in self.columns_of(feature):
                target = Target.of_spec(spec[column])
                unit = units.get(column)
                if isinstance(feature, Events):
                    unit = units.get(feature.request_time) if column == feature.time else None
                    target = dataclasses.replace(target, aligned=feature.name)
                found[column] = dataclasses.replace(target, unit=unit)
        return found

    def raw_spec(self) -> dict[str, tf.TensorSpec]:
        """Name → `tf.TensorSpec` of every raw column, batch dimension `None`.

        Multi-valued columns and histories are `(None, None)`: any width is
        padded or cut in the graph. Padding is `""` or -1.
        """
        spec = {f.name: f.raw_spec() for f in self.features if not isinstance(f, Events)}
        for feature in self.of_type(History):
            dtype = spec[feature.of].dtype
            spec[feature.name] = tf.TensorSpec((None, None), dtype, name=feature.name)
        dtypes = {name: item.dtype for name, item in spec.items()}
        for events in self.of_type(Events):
            spec.update(events.raw_specs(dtypes))
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
        """The id slots of `encoded_ids`, one `FieldSpec` per categorical feature or history.

        Those of events, one per column of ids and one of the gap, come last.
        """
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
        for events in self.of_type(Events):
            for name, table in events.fields.items():
                hashes = 1 if name == events.gap else self.table_owner(name).num_hashes
                field = FieldSpec(name, table, start, events.max_length, "sequence", hashes=hashes)
                fields.append(field)
                start += field.slots
        return fields

    def hashes(self, feature: Categorical | History) -> int:
        """How many ids a value of a feature has."""
        if isinstance(feature, History):
            return next(f.num_hashes for f in self.of_type(Categorical) if f.name == feature.of)
        return feature.num_hashes

    def _slots(self, feature: Categorical | History) -> int:
        return (feature.max_length or 1) * self.hashes(feature)

    def matches(self) -> list[MatchSpec]:
        """What of sequences is compared with the candidate, in order.

        Raises `ValueError` for a sequence of which nothing can be.
        """
        singles, found = {f.name: f for f in self.of_type(Categorical)}, []
        for feature in self.features:
            if not isinstance(feature, History | Events):
                continue
            asked = feature.matched
            mine = [of for of in asked.values() if singles[of].side == "user"]
            if mine and (feature.matches is not True or len(mine) == len(asked)):
                raise ValueError(
                    f"`matches` of {feature.name!r} compares with the candidate's features, and "
                    f"{mine} are of side='user'. Received: matches={feature.matches!r}."
                )
            numbers = feature.numbers_and_actions if isinstance(feature, Events) else []
            found += [
                MatchSpec(feature.name, column, of, self._first_known(of), tuple(numbers))
                for column, of in asked.items()
                if of not in mine
            ]
        return found

    def _first_known(self, name: str) -> int:
        feature = self.table_owner(name)
        if feature.uses_vocabulary:
            return 1 + int(feature.oov_buckets or 1)
        return 1 if feature.num_ids is None else 2

    def numeric_names(self) -> list[str]:
        """Names of the columns of `encoded_numeric`."""
        numeric = self.of_type(Numeric)
        names = [f.name for f in numeric] + [f"{f.name}:missing" for f in numeric if f.indicator]
        return names + [name for f in self.of_type(Timestamp) for name in f.numeric_names()]

    def numeric_owners(self) -> list[str]:
        """For every column of `encoded_numeric`, the feature that it belongs to."""
        numeric = self.of_type(Numeric)
        names = [f.name for f in numeric] + [f.name for f in numeric if f.indicator]
        return names + [f.name for f in self.of_type(Timestamp) for _ in f.numeric_names()]

    def encoded_spec(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name → (shape without batch, dtype) of what a call returns."""
        spec: dict[str, tuple[tuple[int, ...], str]] = {}
        slots = sum(field.slots for field in self.fields())
        if slots:
            spec["encoded_ids"] = ((slots,), "int32")
        if self.numeric_names():
            spec["encoded_numeric"] = ((len(self.numeric_names()),), "float32")
        if events := self.of_type(Events):
            width = sum(f.max_length * len(f.channels) for f in events)
            spec["encoded_events"] = ((width,), "float32")
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
