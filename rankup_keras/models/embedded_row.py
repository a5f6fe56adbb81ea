"""The beginning of every model: inputs, embedding tables, and the fields read from them."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras.features import Events, FeatureSet, History, Pretrained
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import FieldEmbedding, TakeChannels, TakeColumns
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.embeddings.placement import placed
from rankup_keras.layers.sequences import TrimPadding
from rankup_keras.layers.tokens import NumericEmbedding, SequencePooling
from rankup_keras.layers.tokens.field_groups import FieldGroups
from rankup_keras.models.event_matches import event_matches
from rankup_keras.models.event_sequence import EventSequence, choices_by_sequence, sequence_vector
from rankup_keras.models.user_part import UserPart, fields_of, source_holds


def side_by_side(tensors: Sequence[Any]) -> Any:
    """Concatenates along the last axis."""
    return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors, axis=-1)


@dataclasses.dataclass(frozen=True)
class Fields:
    """Fields in order: their names and widths, and tensors that hold one or more of them."""

    names: list[str]
    dims: list[int]
    pieces: list[Any]

    def __add__(self, other: "Fields") -> "Fields":
        return Fields(self.names + other.names, self.dims + other.dims, self.pieces + other.pieces)

    @property
    def tensor(self) -> Any:
        """All fields side by side (batch, sum of `dims`)."""
        return side_by_side(self.pieces)

    def by_group(self, features: FeatureSet) -> "Fields":
        """The same fields, those of one `group` beside each other at the place of its first."""
        order = order_by_group(features, self.names)
        if order == sorted(order):
            return self
        layout = FieldGroups(self.dims, [order])
        x = ops.reshape(layout.gather(self.tensor), (-1, layout.width))
        return Fields([self.names[i] for i in order], [self.dims[i] for i in order], [x])


def order_by_group(features: FeatureSet, names: Sequence[str]) -> list[int]:
    """Places of fields, those of one group beside each other at the place of its first."""
    group_of = {feature.name: feature.group for feature in features.features}
    groups = [group_of[name] for name in names]
    first = [i if group is None else groups.index(group) for i, group in enumerate(groups)]
    return sorted(range(len(names)), key=lambda place: (first[place], place))


class EmbeddedRow:
    """Symbolic tensors of one row, by table set.

    Under a `TPUStrategy` the tables are on the TPU, see `TPUTables`.

    Args:
        features: the adapted `FeatureSet`, which can no longer be adapted.
        settings: the model's settings, see `settings_of`.
        table_sets: dict from table set to the names of the fields that it
            holds, `None` for all. Defaults to one set, `"shared"`, of all.
        joined: whether to make one set in place of all, in which every table
            is as wide as those of all sets together.

    Attributes:
        inputs: dict of Keras inputs, the packed tensors of `features`.
    """

    def __init__(
        self,
        features: FeatureSet,
        settings: Mapping[str, Any],
        table_sets: Mapping[str, Sequence[str] | None] | None = None,
        joined: bool = False,
    ) -> None:
        features.freeze(settings["name"])
        self.features, self.settings, self.dtype = features, settings, settings["dtype"]
        self.inputs: dict[str, Any] = {
            name: keras.Input(shape, dtype=dtype, name=name)
            for name, (shape, dtype) in features.encoded_spec().items()
        }
        table_sets = table_sets or {"shared": None}
        fields = features.fields()
        self._sets = {
            name: [f for f in fields if members is None or f.name in members]
            for name, members in table_sets.items()
        }
        self._joined = joined
        self.embedding: FieldLookup | None = None
        if not fields:
            return
        tables = features.tables()
        if joined:
            tables = [self._widened(table) for table in tables]
            held = {f.name for own in self._sets.values() for f in own}
            table_sets = {"joined": [f.name for f in fields if f.name in held]}
        self.embedding = placed(
            FieldEmbedding(
                tables,
                fields,
                embedding_dim=settings["embedding_dim"],
                table_sets=table_sets,
                embeddings_initializer=settings["embeddings_initializer"],
                embeddings_regularizer=settings["embeddings_regularizer"],
                name="embeddings",
                dtype=self.dtype,
            )
        )
        self._embedded: dict[str, Any] = self.embedding(self.inputs["encoded_ids"])

    def _widened(self, table: TableSpec) -> TableSpec:
        """A table as wide as those of all sets that hold it."""
        sets = sum(any(f.table == table.name for f in own) for own in self._sets.values())
        width = table.dim or self.settings["embedding_dim"]
        return dataclasses.replace(table, dim=width * max(1, sets))

    def drop(self, x: Any, name: str = "embedding_dropout") -> Any:
        """Applies the model's `embedding_dropout`."""
        rate = self.settings["embedding_dropout"]
        return keras.layers.Dropout(rate, dtype=self.dtype, name=name)(x) if rate else x

    def _set(self, table_set: str) -> str:
        return "joined" if self._joined else table_set

    def _members(self, table_set: str, sequences: bool) -> list[FieldSpec]:
        return [f for f in self._sets[table_set] if (f.kind == "sequence") == sequences]

    def sequences(self, table_set: str) -> list[FieldSpec]:
        """The histories of a table set."""
        histories = {feature.name for feature in self.features.of_type(History)}
        return [f for f in self._members(table_set, sequences=True) if f.name in histories]

    def history(self, table_set: str, sequence: FieldSpec) -> tuple[Any, Any]:
        """A sequence's items as embeddings (batch, length, width), and their ids."""
        items = self._embedded[f"{self._set(table_set)}/{sequence.name}"]
        columns = [(sequence.start, sequence.start + sequence.length)]
        return items, TakeColumns(columns, [sequence.name])(self.inputs["encoded_ids"])

    def event_sequences(self, table_set: str = "shared") -> list[EventSequence]:
        """The histories of a table set, each as events of one column, and its events."""
        found = []
        for sequence in self.sequences(table_set):
            items, ids = self.history(table_set, sequence)
            mask = ops.cast(ops.not_equal(ids, 0), items.dtype)
            items, mask = self._trimmed([items, mask], ids)
            candidate = self._candidate(table_set, [sequence.table])
            found.append(EventSequence(sequence.name, [items], mask, candidate))
        start = 0
        held = {f.name for f in self._members(table_set, sequences=True)}
        for events in self.features.of_type(Events):
            depth = len(events.channels)
            end = start + events.max_length * depth
            if held.issuperset(events.fields):
                take = TakeChannels([(start, end)], [events.name], depth, dtype=self.dtype)
                channels = take(self.inputs["encoded_events"])
                key = self._set(table_set)
                columns = [self._embedded[f"{key}/{field}"] for field in events.fields]
                *columns, channels = self._trimmed([*columns, channels], channels)
                columns += [channels[:, :, 1:]] if depth > 1 else []
                gap = events.channels.index("log_gap") if "log_gap" in events.channels else None
                candidate = self._candidate(table_set, list(events.ids.values()))
                found.append(
                    EventSequence(
                        events.name,
                        columns,
                        channels[:, :, 0],
                        candidate,
                        None if gap is None else channels[:, :, gap],
                    )
                )
            start = end
        return found

    def _trimmed(self, tensors: list[Any], present: Any) -> list[Any]:
        """A sequence's tensors as long as its longest in a batch; short ones as they are."""
        trim = TrimPadding(dtype=self.dtype)
        return trim(tensors, present) if present.shape[1] > trim.smallest else tensors

    def _candidate(self, table_set: str, tables: Sequence[Any]) -> Any:
        """What the candidate has of the columns of a sequence, side by side; `None` without any."""
        held = {f.name for f in self._members(table_set, sequences=False)}
        names = [name for name in tables if isinstance(name, str) and name in held]
        names = [name for name in names if self.features[name].side != "user"]
        return side_by_side([self.field(table_set, name) for name in names]) if names else None

    def field(self, table_set: str, name: str) -> Any:
        """One field that is not a sequence (batch, width)."""
        known = [field.name for field in self._members(table_set, sequences=False)]
        if self.embedding is None or name not in known:
            raise ValueError(
                f"Table set {table_set!r} holds no single-valued or multi-valued field {name!r}; "
                f"it holds {known}."
            )
        key = self._set(table_set)
        dims, place = self.embedding.field_dims(key), self.embedding.field_names(key).index(name)
        start = sum(dims[:place])
        return self._embedded[key][:, start : start + dims[place]]

    def categorical(self, table_set: str = "shared") -> Fields:
        """The fields of a table set that are not sequences."""
        names = [field.name for field in self._members(table_set, sequences=False)]
        if self.embedding is None or not names:
            return Fields([], [], [])
        key = self._set(table_set)
        held = self.embedding.field_names(key)
        width = dict(zip(held, self.embedding.field_dims(key), strict=True))
        if len(names) == len(held):
            pieces = [self._embedded[key]]
        else:
            pieces = [self.field(table_set, name) for name in names]
        return Fields(names, [width[name] for name in names], pieces)

    def pooled(self, table_set: str = "shared") -> Fields:
        """`categorical`, followed by every history reduced to one vector by its combiner."""
        fields = self.categorical(table_set)
        for sequence in self.sequences(table_set):
            items, ids = self.history(table_set, sequence)
            vector = SequencePooling(sequence.combiner, dtype=self.dtype)(items, ids)
            fields += Fields([sequence.name], [items.shape[-1]], [vector])
        return fields

    @functools.cached_property
    def _matches(self) -> list[tuple[str, Any]]:
        return event_matches(self.features, self.inputs, self.dtype)

    @property
    def numbers(self) -> list[Any]:
        """Tensors of numeric columns, and of what events have of the candidate."""
        numeric = [x for name, x in self.inputs.items() if name == "encoded_numeric"]
        return numeric + [x for _, x in self._matches]

    def _embedded_numbers(self) -> list[Fields]:
        """`numbers` as fields, a vector each; those that tell of the candidate apart."""
        width, found = self.settings["embedding_dim"], []
        parts: dict[str, tuple[list[str], list[Any]]] = {}
        if names := self.numeric_features():
            parts["numeric_embedding"] = (names, [self.inputs["encoded_numeric"]])
        if self._matches:
            owners = [of for of, x in self._matches for _ in range(x.shape[1])]
            parts["match_embedding"] = (owners, [x for _, x in self._matches])
        for name, (owners, tensors) in parts.items():
            layer = NumericEmbedding(width, name=name, dtype=self.dtype)
            found.append(Fields(owners, [width] * len(owners), [layer(side_by_side(tensors))]))
        return found

    def numeric_features(self) -> list[str]:
        """For every column of `encoded_numeric`, the feature that it belongs to."""
        return self.features.numeric_owners()

    def with_sequences(self, table_set: str = "shared", encoder: Any = "mean") -> Fields:
        """`categorical`, and a field per sequence as its encoder reduces it, see `RankUp`."""
        return self.categorical(table_set) + self._sequence_fields(table_set, encoder)

    def _sequence_fields(self, table_set: str, encoder: Any) -> Fields:
        sequences, width = self.event_sequences(table_set), self.settings["embedding_dim"]
        choices = choices_by_sequence(encoder, [sequence.name for sequence in sequences])
        combiners = {f.name: f.combiner for f in self.sequences(table_set)}
        fields = Fields([], [], [])
        for sequence in sequences:
            choice, combiner = choices[sequence.name], combiners.get(sequence.name)
            if choice == "mean" and combiner is not None:
                pooling = SequencePooling(combiner, dtype=self.dtype)
                vector = pooling(sequence.columns[0], sequence.mask)
            else:
                name = f"sequence_{len(fields.names)}"
                vector = sequence_vector(sequence, choice, width, name, self.dtype)
            fields += Fields([sequence.name], [vector.shape[-1]], [vector])
        return fields

    def all_fields(self, table_set: str = "shared", encoder: Any = "mean") -> Fields:
        """`with_sequences`, then numeric columns as embedded fields, then pretrained vectors."""
        fields = sum(self._embedded_numbers(), start=self.with_sequences(table_set, encoder))
        vectors = self.vectors()
        return fields + Fields(
            list(vectors), [v.shape[-1] for v in vectors.values()], list(vectors.values())
        )

    def required_sequences(self, model: str) -> list[EventSequence]:
        """`event_sequences`, of which there must be one."""
        found = self.event_sequences()
        if not found:
            raise ValueError(
                f"{model} needs a sequence: an Events or History feature. Received features: "
                f"{[feature.name for feature in self.features.features]}."
            )
        return found

    def field_count(self) -> int:
        """How many fields `by_side` has."""
        names = self.embedding.field_names("shared") if self.embedding else ()
        numbers = sum(x.shape[1] for x in self.numbers)
        return len(names) + numbers + len(self.features.of_type(Pretrained))

    def by_side(self, apart: bool) -> dict[str, Any]:
        """All fields but the sequences (batch, width), by stream, see `token_streams`.

        Args:
            apart: whether those of the user and of the candidate are apart.
        """
        parts: list[tuple[Any, list[str], list[int]]] = []
        if self.embedding is not None and self.embedding.field_names("shared"):
            names = list(self.embedding.field_names("shared"))
            parts.append(
                (self._embedded["shared"], names, list(self.embedding.field_dims("shared")))
            )
        parts += [(f.tensor, f.names, f.dims) for f in self._embedded_numbers()]
        vectors = self.features.of_type(Pretrained)
        if vectors:
            names = [f.name for f in vectors]
            parts.append((self.inputs["encoded_vectors"], names, [f.dim for f in vectors]))
        if not apart:
            return {"": side_by_side([x for x, _, _ in parts])}
        found: dict[str, Any] = {}
        for stream, is_user in (("user_", True), ("item_", False)):
            taken = []
            for x, names, dims in parts:
                ends = list(itertools.accumulate(dims))
                places = [i for i, n in enumerate(names) if (self._side(n) == "user") == is_user]
                if places:
                    columns = [(ends[i] - dims[i], ends[i]) for i in places]
                    of = [names[i] for i in places]
                    taken.append(TakeColumns(columns, of, dtype=self.dtype)(x))
            if not taken:
                side = "side='user'" if is_user else "another side than 'user'"
                raise ValueError(f"`user_item_mask` needs a feature of {side}. Received none.")
            found[stream] = side_by_side(taken)
        return found

    def sides_with_sequences(self, encoder: Any) -> tuple[dict[str, Any], int]:
        """`by_side`, a field per sequence behind it where it belongs, and the number of fields."""
        found, part = self.by_side(True), self.user_part()
        sequences = self._sequence_fields("shared", encoder)
        for vector in sequences.pieces:
            stream = "user_" if part.only(vector) else "item_"
            found[stream] = side_by_side([found[stream], vector])
        return found, self.field_count() + len(sequences.names)

    def user_part(self) -> UserPart:
        """Tells which tensors have nothing of the candidate."""
        mine = {f.name for f in self.features.features if f.side == "user"}
        sources = {**self.inputs, **(self._embedded if self.embedding else {})}
        holds = source_holds(self.features, sources, self.embedding)
        return UserPart(fields_of(self.features, mine), sources, holds)

    def _side(self, name: str) -> Any:
        return self.features[name].side

    def vectors(self) -> dict[str, Any]:
        """Pretrained vectors by feature."""
        start, found = 0, {}
        for feature in self.features.of_type(Pretrained):
            found[feature.name] = self.inputs["encoded_vectors"][:, start : start + feature.dim]
            start += feature.dim
        return found

    def feature(self, table_set: str, name: str) -> Any:
        """One feature of any kind but a sequence (batch, width), as the model reads it.

        A categorical feature gives its embedding, a numeric one its column and
        that of its indicator, a pretrained one its vector.
        """
        vectors = self.vectors()
        if name in vectors:
            return vectors[name]
        columns = [i for i, owner in enumerate(self.numeric_features()) if owner == name]
        if columns:
            return side_by_side([self.inputs["encoded_numeric"][:, i : i + 1] for i in columns])
        return self.field(table_set, name)
