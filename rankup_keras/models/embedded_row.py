"""The beginning of every model: inputs, embedding tables, and the fields read from them."""

from typing import Any

import keras
from keras import ops

from rankup_keras.embeddings import FieldEmbedding
from rankup_keras.features import FeatureSet, Pretrained
from rankup_keras.tokens import NumericEmbedding, SequencePooling


def encoded_inputs(features: FeatureSet) -> dict[str, Any]:
    """Keras inputs for the packed tensors that a feature set makes."""
    return {
        name: keras.Input(shape, dtype=dtype, name=name)
        for name, (shape, dtype) in features.encoded_spec().items()
    }


class EmbeddedRow:
    """Symbolic tensors of one row, by table set.

    Args:
        features: the adapted `FeatureSet`.
        inputs: see `encoded_inputs`.
        table_sets: names of the independent copies of the tables.
        embedding_dim: width of tables that have none of their own.
        dtype: dtype policy of the layers.
        **embedding: further arguments of `FieldEmbedding`.
    """

    def __init__(
        self,
        features: FeatureSet,
        inputs: dict[str, Any],
        table_sets: list[str],
        embedding_dim: int,
        dtype: Any,
        **embedding: Any,
    ) -> None:
        self.features, self.inputs, self.dtype = features, inputs, dtype
        self.embedding_dim = embedding_dim
        self.fields = features.fields()
        self.embedding: FieldEmbedding | None = None
        self.outputs: dict[str, Any] = {}
        if self.fields:
            self.embedding = FieldEmbedding(
                features.tables(),
                self.fields,
                embedding_dim=embedding_dim,
                table_sets=table_sets,
                name="embeddings",
                dtype=dtype,
                **embedding,
            )
            self.outputs = self.embedding(inputs["encoded_ids"])

    def sequences(self, table_set: str) -> tuple[list[Any], list[Any], list[str]]:
        """Embeddings, ids and combiners of every sequence."""
        runs = [field for field in self.fields if field.kind == "sequence"]
        ids: Any = self.inputs["encoded_ids"] if runs else None
        return (
            [self.outputs[f"{table_set}/{field.name}"] for field in runs],
            [ids[:, field.start : field.start + field.length] for field in runs],
            [field.combiner for field in runs],
        )

    def categorical(self, table_set: str) -> tuple[list[Any], list[int]]:
        """The fields that are no sequences, side by side, and their widths."""
        if table_set not in self.outputs or self.embedding is None:
            return [], []
        return [self.outputs[table_set]], list(self.embedding.field_dims(table_set))

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

    def vectors(self) -> dict[str, Any]:
        """Pretrained vectors by feature."""
        start, found = 0, {}
        for feature in self.features.of_type(Pretrained):
            found[feature.name] = self.inputs["encoded_vectors"][:, start : start + feature.dim]
            start += feature.dim
        return found


def side_by_side(tensors: list[Any]) -> Any:
    """Concatenates along the last axis."""
    return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors, axis=-1)
