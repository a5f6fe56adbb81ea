"""The beginning of every model: inputs, embedding tables, and the fields read from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras.features import FeatureSet, Pretrained
from rankup_keras.features.spec import FieldSpec
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.embeddings.placement import placed
from rankup_keras.layers.tokens import NumericEmbedding, SequencePooling
from rankup_keras.layers.tokens.field_groups import FieldGroups


def encoded_inputs(features: FeatureSet) -> dict[str, Any]:
    """Keras inputs for the packed tensors that a feature set makes."""
    return {
        name: keras.Input(shape, dtype=dtype, name=name)
        for name, (shape, dtype) in features.encoded_spec().items()
    }


class EmbeddedRow:
    """Symbolic tensors of one row, by table set.

    Under a `TPUStrategy` the tables lie on the TPU, see `TPUTables`.

    Args:
        features: the adapted `FeatureSet`.
        inputs: see `encoded_inputs`.
        table_sets: names of the independent copies of the tables; or a dict
            from name to the fields that the set holds, `None` for all.
        embedding_dim: width of tables that have none of their own.
        dtype: dtype policy of the layers.
        joined: whether to make one set in place of all, in which every table
            is as wide as its copies would be together.
        **embedding: further arguments of `FieldEmbedding`.
    """

    def __init__(
        self,
        features: FeatureSet,
        inputs: dict[str, Any],
        table_sets: Sequence[str] | Mapping[str, Sequence[str] | None],
        embedding_dim: int,
        dtype: Any,
        joined: bool = False,
        **embedding: Any,
    ) -> None:
        self.features, self.inputs, self.dtype = features, inputs, dtype
        self.embedding_dim = embedding_dim
        self.fields = features.fields()
        if not isinstance(table_sets, Mapping):
            table_sets = dict.fromkeys(table_sets)
        self._sets = {
            name: [f for f in self.fields if members is None or f.name in members]
            for name, members in table_sets.items()
        }
        self._joined = joined
        self.embedding: FieldLookup | None = None
        self.outputs: dict[str, Any] = {}
        if self.fields:
            tables = features.tables()
            if joined:
                copies = [{f.table for f in own} for own in self._sets.values()]
                tables = [
                    dataclasses.replace(
                        table,
                        dim=(table.dim or embedding_dim)
                        * max(1, sum(table.name in own for own in copies)),
                    )
                    for table in tables
                ]
                held = {f.name for own in self._sets.values() for f in own}
                table_sets = {"joined": [f.name for f in self.fields if f.name in held]}
            self.embedding = placed(
                FieldEmbedding(
                    tables,
                    self.fields,
                    embedding_dim=embedding_dim,
                    table_sets=table_sets,
                    name="embeddings",
                    dtype=dtype,
                    **embedding,
                )
            )
            self.outputs = self.embedding(inputs["encoded_ids"])

    def _set(self, table_set: str) -> str:
        return "joined" if self._joined else table_set

    def _members(self, table_set: str, sequences: bool) -> list[FieldSpec]:
        return [f for f in self._sets[table_set] if (f.kind == "sequence") == sequences]

    def sequences(self, table_set: str) -> tuple[list[Any], list[Any], list[str]]:
        """Embeddings, ids and combiners of every sequence."""
        runs = self._members(table_set, sequences=True)
        ids: Any = self.inputs["encoded_ids"] if runs else None
        return (
            [self.outputs[f"{self._set(table_set)}/{field.name}"] for field in runs],
            [ids[:, field.start : field.start + field.length] for field in runs],
            [field.combiner for field in runs],
        )

    def candidates(self, table_set: str) -> list[Any]:
        """For every sequence the field whose values it holds (batch, width)."""
        runs = self._members(table_set, sequences=True)
        return [self.field(table_set, field.table) for field in runs]

    def field_names(self, table_set: str) -> list[str]:
        """Names of the fields that are no sequences, in the order of `categorical`."""
        return [field.name for field in self._members(table_set, sequences=False)]

    def field(self, table_set: str, name: str) -> Any:
        """One field that is no sequence (batch, width)."""
        if self.embedding is None or name not in self.field_names(table_set):
            raise ValueError(
                f"Table set {table_set!r} holds no single-valued or multi-valued field {name!r}; "
                f"it holds {self.field_names(table_set)}."
            )
        key = self._set(table_set)
        dims, place = self.embedding.field_dims(key), self.embedding.field_names(key).index(name)
        start = sum(dims[:place])
        return self.outputs[key][:, start : start + dims[place]]

    def categorical(self, table_set: str) -> tuple[list[Any], list[int]]:
        """The fields that are no sequences, side by side, and their widths."""
        names = self.field_names(table_set)
        if self.embedding is None or not names:
            return [], []
        key = self._set(table_set)
        width = dict(
            zip(self.embedding.field_names(key), self.embedding.field_dims(key), strict=True)
        )
        dims = [width[name] for name in names]
        if len(names) == len(width):
            return [self.outputs[key]], dims
        return [side_by_side([self.field(table_set, name) for name in names])], dims

    def pooled(self, table_set: str) -> tuple[list[Any], list[int]]:
        """`categorical`, followed by every sequence reduced to one vector."""
        vectors, dims = self.categorical(table_set)
        for items, ids, combiner in zip(*self.sequences(table_set), strict=True):
            vectors.append(SequencePooling(combiner, dtype=self.dtype)(items, ids))
            dims.append(items.shape[-1])
        return vectors, dims

    def numeric_fields(self) -> tuple[list[Any], list[int]]:
        """Every column of `encoded_numeric` as a field of the embeddings' width."""
        if "encoded_numeric" not in self.inputs:
            return [], []
        numeric = self.inputs["encoded_numeric"]
        embedded = NumericEmbedding(self.embedding_dim, name="numeric_embedding", dtype=self.dtype)(
            numeric
        )
        return [embedded], [self.embedding_dim] * numeric.shape[-1]

    def all_fields(self, table_set: str) -> tuple[list[Any], list[int]]:
        """`pooled`, then the numeric columns as fields, then the pretrained vectors."""
        pieces, dims = self.pooled(table_set)
        numeric, widths = self.numeric_fields()
        vectors = list(self.vectors().values())
        return pieces + numeric + vectors, dims + widths + [v.shape[-1] for v in vectors]

    def in_groups(self, table_set: str) -> tuple[Any, list[int]]:
        """`all_fields` as one tensor, with the fields of one `group` beside each other."""
        pieces, dims = self.all_fields(table_set)
        names = self.field_names(table_set)
        names += [field.name for field in self._members(table_set, sequences=True)]
        if "encoded_numeric" in self.inputs:
            names += [name.removesuffix(":missing") for name in self.features.numeric_names()]
        names += list(self.vectors())
        order = order_by_group(self.features, names)
        x = side_by_side(pieces)
        if order == sorted(order):
            return x, dims
        layout = FieldGroups(dims, [order])
        return ops.reshape(layout.gather(x), (-1, layout.width)), [dims[place] for place in order]

    def vectors(self) -> dict[str, Any]:
        """Pretrained vectors by feature."""
        start, found = 0, {}
        for feature in self.features.of_type(Pretrained):
            found[feature.name] = self.inputs["encoded_vectors"][:, start : start + feature.dim]
            start += feature.dim
        return found


def order_by_group(features: FeatureSet, names: Sequence[str]) -> list[int]:
    """Places of fields, those of one group beside each other at the place of its first."""
    group_of = {feature.name: feature.group for feature in features.features}
    first: dict[str, int] = {}
    keys = []
    for place, name in enumerate(names):
        group = group_of[name]
        keys.append(place if group is None else first.setdefault(group, place))
    return sorted(range(len(names)), key=lambda place: (keys[place], place))


def side_by_side(tensors: list[Any]) -> Any:
    """Concatenates along the last axis."""
    return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors, axis=-1)
