"""What a lookup of fields is, wherever its tables lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.xla import in_xla
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.definitions import (
    check_specs,
    fields_of,
    resolve_table_sets,
    slot_limits,
)
from rankup_keras.layers.embeddings.gather_and_pool import checked_ids
from rankup_keras.layers.embeddings.initializers import check_initializer
from rankup_keras.layers.embeddings.layout import build_stacks


class FieldLookup(keras.layers.Layer):
    """Base of `FieldEmbedding` and its form for TPUs: definitions, checks, output shapes.

    Args: see `FieldEmbedding`.
    """

    # What trains the tables on a TPU; elsewhere it is the optimizer of the model.
    optimizer: Any = None

    def __init__(
        self,
        tables: Sequence[TableSpec | Mapping[str, Any]],
        fields: Sequence[FieldSpec | Mapping[str, Any]],
        embedding_dim: int = 16,
        table_sets: int | Sequence[str] | Mapping[str, Sequence[str] | None] = ("shared",),
        widths: Mapping[str, int] | None = None,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        validate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Keras asks every layer before it compiles a model with XLA. The row-sparse updates have
        # no XLA form, and a TPU compiles the whole step anyway.
        self.supports_jit = False
        self.tables = tuple(t if isinstance(t, TableSpec) else TableSpec(**t) for t in tables)
        self.fields = tuple(f if isinstance(f, FieldSpec) else FieldSpec(**f) for f in fields)
        check_specs(self.tables, self.fields)
        if embedding_dim < 1:
            raise ValueError(f"`embedding_dim` must be positive. Received: {embedding_dim}.")
        self.embedding_dim = embedding_dim
        self.table_sets = resolve_table_sets(table_sets, self.fields)
        self.widths = dict(widths or {})
        unknown = sorted(set(self.widths) - set(self.table_sets))
        if unknown:
            raise ValueError(
                f"`widths` names unknown table sets {unknown}; the sets are "
                f"{list(self.table_sets)}."
            )
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        check_initializer(self.embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.validate = validate
        self._dims = {table.name: table.dim or embedding_dim for table in self.tables}
        self.stacks = build_stacks(self.tables, self.fields, self.table_sets, self.width_of)

    def width_of(self, table_set: str, table: str) -> int:
        """Width of a table's rows in a table set."""
        return self.widths.get(table_set, self._dims[table])

    def members(self, table_set: str) -> tuple[FieldSpec, ...]:
        """The fields that a table set holds, in the order of declaration."""
        if table_set not in self.table_sets:
            raise ValueError(
                f"Unknown table set '{table_set}'; the sets are {list(self.table_sets)}."
            )
        return fields_of(self.fields, self.table_sets[table_set])

    def field_names(self, table_set: str) -> tuple[str, ...]:
        """Names of the fields concatenated in `out[table_set]`, in order."""
        return tuple(f.name for f in self.members(table_set) if f.kind != "sequence")

    def field_dims(self, table_set: str) -> tuple[int, ...]:
        """Widths of the fields concatenated in `out[table_set]`, in order."""
        members = self.members(table_set)
        return tuple(self.width_of(table_set, f.table) for f in members if f.kind != "sequence")

    @property
    def slots(self) -> int:
        """The least number of id columns that the fields need."""
        return max(f.start + f.slots for f in self.fields)

    @property
    def on_tpu(self) -> bool:
        """Whether the tables lie on the SparseCores of a TPU."""
        return False

    def get_tables(self) -> dict[str, np.ndarray]:
        """Copies of all tables, as `set/table` → (rows, width)."""
        raise NotImplementedError  # abstract: a subclass knows where its tables are

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Overwrites tables given as `set/table` → (rows, width); the others stay as they are."""
        raise NotImplementedError  # abstract: as `get_tables`

    def check_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Refuses tables that are not this layer's, or have another shape."""
        shapes = {
            block.key: (block.rows, stack.width) for stack in self.stacks for block in stack.blocks
        }
        for key, table in tables.items():
            if key not in shapes:
                raise ValueError(f"`tables` names '{key}'; the tables are {sorted(shapes)[:20]}.")
            if tuple(table.shape) != shapes[key]:
                raise ValueError(
                    f"Table '{key}' has the shape {shapes[key]}. Received: {tuple(table.shape)}."
                )

    def check_compiled(self, optimizer: Any) -> None:
        """Refuses an optimizer of `compile` that cannot train the tables where they lie."""

    def checked(self, ids: Any) -> tf.Tensor:
        """The ids as a tensor, once dtype, shape and, with `validate`, range are right."""
        ids = tf.convert_to_tensor(ids)
        if ids.dtype not in (tf.int32, tf.int64):
            raise ValueError(
                f"Layer '{self.name}' needs int32 or int64 `ids` for the fields "
                f"{[f.name for f in self.fields][:8]}. Received: dtype={ids.dtype.name}."
            )
        if ids.shape.rank != 2 or (ids.shape[1] is not None and ids.shape[1] < self.slots):
            raise ValueError(
                f"Layer '{self.name}' needs `ids` of shape (batch, {self.slots}). "
                f"Received: shape={tuple(ids.shape)}."
            )
        if not self.validate:
            return ids
        if in_xla():
            raise ValueError(
                f"Layer '{self.name}' names the feature of an id outside its table, and XLA has no "
                "strings. Give the layer `validate=False`, or turn `jit_compile` off around it."
            )
        return checked_ids(ids, *slot_limits(self.tables, self.fields))

    def compute_output_spec(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        batch = ids.shape[0]
        shapes: dict[str, tuple[int | None, ...]] = {}
        for name in self.table_sets:
            for field in self.members(name):
                if field.kind == "sequence":
                    width = self.width_of(name, field.table)
                    shapes[f"{name}/{field.name}"] = (batch, field.length, width)
            if self.field_dims(name):
                shapes[name] = (batch, sum(self.field_dims(name)))
        return {
            key: keras.KerasTensor(shape, dtype=self.compute_dtype) for key, shape in shapes.items()
        }

    def definition(self) -> dict[str, Any]:
        """The arguments that define the lookup, as `get_config` has them."""
        return {
            "tables": [table.get_config() for table in self.tables],
            "fields": [field.get_config() for field in self.fields],
            "embedding_dim": self.embedding_dim,
            "table_sets": {k: v if v is None else list(v) for k, v in self.table_sets.items()},
            "widths": self.widths,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "validate": self.validate,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.definition()}
