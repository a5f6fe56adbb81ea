"""Every field of a table set, looked up at once."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.xla import in_xla
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import layout as layout_lib
from rankup_keras.layers.embeddings import lookup
from rankup_keras.layers.embeddings.initializers import InPieces, check_initializer
from rankup_keras.layers.embeddings.table_view import TableView


@serializable
class FieldEmbedding(keras.layers.Layer):
    """Looks up every field of a table set with one gather.

    All tables of one width lie stacked in one variable, the table sets of the
    same fields side by side in its columns, and an id is shifted by the first
    row of its table. So the graph has one gather a width, however many fields
    and table sets there are, and its gradient names the rows it touches: with
    the optimizers of `rankup_keras.optimizers` the cost of a step depends on
    the ids in the batch and not on the size of the tables.

    Args:
        tables: list of `TableSpec` (or their configs).
        fields: list of `FieldSpec` (or their configs), in the order in which
            their vectors are concatenated.
        embedding_dim: width of the tables whose `dim` is `None`. Defaults to 16.
        table_sets: independent copies of the tables (the multi-embedding). An
            integer, a list of names, or a dict from name to the list of fields
            that the set holds, `None` for all. Defaults to one set, `"shared"`.
        widths: dict from a table set to the width that all its tables take
            instead of their own: one wider set is the control with equal
            parameters for several sets. Defaults to none.
        embeddings_initializer: initializer of every row. It must not depend on
            the number of rows. Defaults to uniform in ±0.05, as Keras's own
            `Embedding`.
        embeddings_regularizer: regularizer of the rows that a batch touches,
            each counted once; untouched rows cost nothing and stay as they
            are. Defaults to none.
        validate: whether ids outside their table stop the step with an error
            that names the field. Without it such an id would read a row of
            the next table. Defaults to `True`.

    Call arguments:
        ids: int32 or int64 (batch, slots), laid out as `fields` say. Id 0 is
            padding in bags and sequences and counts for nothing; in a
            single-valued field it is a row like any other. A value of a field
            with several `hashes` is the mean of the rows of its ids.
        weights: float (batch, weight slots) of the weighted bags, else `None`.

    Returns:
        A dict: `out[set]` (batch, sum of widths), the vectors of the fields
        that are not sequences, concatenated in the order of declaration; and
        `out["set/field"]` (batch, length, width) for every sequence, zero at
        padding. A set of sequences alone has no `out[set]`.

    Example:

    ```python
    tables = [TableSpec("item", rows=1000), TableSpec("genre", rows=20)]
    fields = [FieldSpec("item", "item", start=0),
              FieldSpec("genres", "genre", start=1, length=3, kind="bag")]
    layer = FieldEmbedding(tables, fields, table_sets=("token", "global"))
    layer(np.array([[7, 1, 2, 0]]))["token"].shape  # (1, 32)
    ```

    References:
        - RankUp, arXiv 2604.17878 (multi-embedding).
    """

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
        # The fused row updates have no XLA form, and Keras asks every layer
        # before it compiles a model with XLA.
        self.supports_jit = False
        self.tables = tuple(t if isinstance(t, TableSpec) else TableSpec(**t) for t in tables)
        self.fields = tuple(f if isinstance(f, FieldSpec) else FieldSpec(**f) for f in fields)
        layout_lib.check_specs(self.tables, self.fields)
        if embedding_dim < 1:
            raise ValueError(f"`embedding_dim` must be positive. Received: {embedding_dim}.")
        self.embedding_dim = embedding_dim
        self.table_sets = layout_lib.resolve_table_sets(table_sets, self.fields)
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
        self._stacks = layout_lib.build_stacks(
            self.tables, self.fields, self.table_sets, self.width_of
        )

    def width_of(self, table_set: str, table: str) -> int:
        """Width of a table's rows in a table set."""
        return self.widths.get(table_set, self._dims[table])

    def _members(self, table_set: str) -> tuple[FieldSpec, ...]:
        if table_set not in self.table_sets:
            raise ValueError(
                f"Unknown table set '{table_set}'; the sets are {list(self.table_sets)}."
            )
        return layout_lib.fields_of(self.fields, self.table_sets[table_set])

    def field_names(self, table_set: str) -> tuple[str, ...]:
        """Names of the fields concatenated in `out[table_set]`, in order."""
        return tuple(f.name for f in self._members(table_set) if f.kind != "sequence")

    def field_dims(self, table_set: str) -> tuple[int, ...]:
        """Widths of the fields concatenated in `out[table_set]`, in order."""
        members = self._members(table_set)
        return tuple(self.width_of(table_set, f.table) for f in members if f.kind != "sequence")

    def sequence_names(self, table_set: str) -> tuple[str, ...]:
        """Names of the sequence fields of a table set, in order."""
        return tuple(f.name for f in self._members(table_set) if f.kind == "sequence")

    @property
    def slots(self) -> int:
        """The least number of id columns that the fields need."""
        return max(f.start + f.slots for f in self.fields)

    def _built_stacks(self) -> list[tuple[layout_lib.Stack, Any]]:
        if not self.built:
            raise RuntimeError(
                f"Layer '{self.name}' has no tables yet; call it, or its model, once before."
            )
        return [(stack, self._stores[stack.store]) for stack in self._stacks]

    def table_views(self) -> dict[str, TableView]:
        """The tables where they lie, as `set/table` → `TableView`: to read rows without a copy."""
        return {
            f"{block.table_set}/{block.table}": TableView(
                variable, block.offset, block.rows, stack.width, stack.start
            )
            for stack, variable in self._built_stacks()
            for block in stack.blocks
        }

    def get_tables(self) -> dict[str, np.ndarray]:
        """Copies of all tables, as `set/table` → (rows, width)."""
        return {
            f"{block.table_set}/{block.table}": keras.ops.convert_to_numpy(
                variable.value[
                    block.offset : block.offset + block.rows,
                    stack.start : stack.start + stack.width,
                ]
            )
            for stack, variable in self._built_stacks()
            for block in stack.blocks
        }

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Takes over tables given as `set/table` → (rows, width); the others stay as they are."""
        self.check_tables(tables)
        for stack, variable in self._built_stacks():
            for block in stack.blocks:
                table = tables.get(f"{block.table_set}/{block.table}")
                if table is not None:
                    variable.value[
                        block.offset : block.offset + block.rows,
                        stack.start : stack.start + stack.width,
                    ].assign(table)

    def check_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Refuses tables that are not this layer's, or of another shape."""
        shapes = {
            f"{block.table_set}/{block.table}": (block.rows, stack.width)
            for stack in self._stacks
            for block in stack.blocks
        }
        for key, table in tables.items():
            if key not in shapes:
                raise ValueError(f"`tables` names '{key}'; the tables are {sorted(shapes)[:20]}.")
            if tuple(table.shape) != shapes[key]:
                raise ValueError(
                    f"Table '{key}' has the shape {shapes[key]}. Received: {tuple(table.shape)}."
                )

    def restricted(self, names: Sequence[str], name: str | None = None) -> "FieldEmbedding":
        """A layer that looks up only some fields, in this layer's own variables.

        Args:
            names: the fields to keep; a table set without any of them is left out.
            name: name of the new layer. Defaults to this one's with `_part`.
        """
        config = self.get_config()
        config["name"] = name or f"{self.name}_part"
        config["fields"] = [field for field in config["fields"] if field["name"] in set(names)]
        kept = {
            s: [f.name for f in self._members(s) if f.name in set(names)] for s in self.table_sets
        }
        config["table_sets"] = {s: members for s, members in kept.items() if members}
        config["widths"] = {s: w for s, w in self.widths.items() if kept[s]}
        part = type(self).from_config(config)
        own = {(stack.table_set, stack.width): stack for stack in self._stacks}
        part._stacks = tuple(
            layout_lib.in_blocks_of(stack, own[stack.table_set, stack.width])
            for stack in part._stacks
        )
        part._stores = self._stores
        part.built = True
        return part

    def build(self, input_shape: Any = None) -> None:
        self._stores = []
        for stacks in layout_lib.by_store(self._stacks):
            widths = [stack.width for stack in stacks]
            variable = self.add_weight(
                name=f"{'_'.join(stack.table_set for stack in stacks)}_{sum(widths)}",
                shape=(stacks[0].rows, sum(widths)),
                initializer=InPieces(self.embeddings_initializer),
                dtype=self.variable_dtype,
                autocast=False,
            )
            # The mark by which optimizers know a table from a dense weight, and the widths of the
            # rows that lie side by side in one of the variable's.
            variable.row_sparse = True
            variable.row_parts = tuple(widths)
            self._stores.append(variable)
        self.built = True

    def call(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        ids = self.checked(ids)
        pooled: dict[str, list[tuple[int, Any]]] = {name: [] for name in self.table_sets}
        outputs: dict[str, Any] = {}
        for stacks in layout_lib.gathers(self._stacks):
            for stack, rows in zip(stacks, self._gather(stacks, ids), strict=True):
                vectors, sequences = self._reduce(stack, rows, ids, weights)
                outputs.update(sequences)
                if vectors is not None:
                    pooled[stack.table_set].append((stack.width, vectors))
        for name, parts in pooled.items():
            if parts:
                outputs[name] = self._join(name, parts)
        return outputs

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
                "strings. Give the layer `validate=False`, or leave `jit_compile` off around it."
            )
        limits, names = layout_lib.slot_limits(self.tables, self.fields)
        return lookup.checked_ids(ids, limits, names)

    def _gather(self, stacks: Sequence[layout_lib.Stack], ids: tf.Tensor) -> list[tf.Tensor]:
        """The rows (batch, slots, width) of stacks that one gather reads."""
        stack, variable = stacks[0], self._stores[stacks[0].store].value
        wide = tf.int64 if stack.rows > np.iinfo(np.int32).max else ids.dtype
        own = lookup.take_columns(ids, stack.columns)
        indices = tf.cast(own, wide) + tf.constant(stack.offsets, wide)
        places = [(s.start, s.width) for s in stacks]
        if self.embeddings_regularizer is not None:
            touched = tf.gather(variable, tf.unique(tf.reshape(indices, (-1,)))[0])
            for start, width in places:
                self.add_loss(self.embeddings_regularizer(touched[:, start : start + width]))
        rows = lookup.take_rows(variable, indices, places)
        return [tf.cast(x, self.compute_dtype) for x in rows]

    def _reduce(
        self, stack: layout_lib.Stack, rows: tf.Tensor, ids: tf.Tensor, weights: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The pooled vectors (batch, fields * width) of one stack, and its sequences."""
        sizes = [stack.singles, *(g.fields * g.length for g in stack.bags)]
        sizes += [len(run.slots) for run in stack.sequences]
        sizes = [size for size in sizes if size]
        parts = tf.split(rows, sizes, axis=1) if len(sizes) > 1 else [rows]
        vectors = []
        if stack.singles:
            vectors.append(parts.pop(0))
        for group in stack.bags:
            float_type = tf.as_dtype(self.variable_dtype)
            coefficients = lookup.bag_coefficients(ids, weights, group, float_type)
            vectors.append(lookup.reduce_bags(parts.pop(0), coefficients))
        sequences = {}
        for run in stack.sequences:
            present = tf.cast(lookup.take_columns(ids, run.first) > 0, rows.dtype)
            items = lookup.mean_of_hashes(parts.pop(0), run.hashes)
            sequences[run.key] = items * present[:, :, None]
        if not vectors:
            return None, sequences
        flat = vectors[0] if len(vectors) == 1 else tf.concat(vectors, axis=1)
        if stack.order is not None:
            flat = lookup.permute_columns(flat, stack.order)
        return tf.reshape(flat, (-1, stack.pooled * stack.width)), sequences

    def _join(self, name: str, parts: list[tuple[int, Any]]) -> Any:
        """Vectors of several widths, back in the order of declaration."""
        if len(parts) == 1:
            return parts[0][1]
        flat = tf.concat([part for _, part in parts], axis=1)
        dims = np.array(self.field_dims(name))
        step = math.gcd(*(int(d) for d in dims))
        by_width = np.concatenate([np.flatnonzero(dims == width) for width, _ in parts])
        starts = np.empty(len(dims), np.int64)
        starts[by_width] = np.cumsum(dims[by_width]) - dims[by_width]
        pairs = zip(starts // step, dims // step, strict=True)
        order = np.concatenate([np.arange(s, s + n) for s, n in pairs]).astype(np.int32)
        if np.array_equal(order, np.arange(len(order))):
            return flat
        cut = tf.reshape(flat, (-1, len(order), step))
        return tf.reshape(lookup.permute_columns(cut, order), (-1, len(order) * step))

    def compute_output_spec(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        batch = ids.shape[0]
        outputs: dict[str, tuple[int | None, ...]] = {}
        for name in self.table_sets:
            for field in self._members(name):
                if field.kind == "sequence":
                    shape = (batch, field.length, self.width_of(name, field.table))
                    outputs[f"{name}/{field.name}"] = shape
            if self.field_dims(name):
                outputs[name] = (batch, sum(self.field_dims(name)))
        return {
            key: keras.KerasTensor(shape, dtype=self.compute_dtype)
            for key, shape in outputs.items()
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            tables=[table.get_config() for table in self.tables],
            fields=[field.get_config() for field in self.fields],
            embedding_dim=self.embedding_dim,
            table_sets={k: None if v is None else list(v) for k, v in self.table_sets.items()},
            widths=self.widths,
            embeddings_initializer=keras.initializers.serialize(self.embeddings_initializer),
            embeddings_regularizer=keras.regularizers.serialize(self.embeddings_regularizer),
            validate=self.validate,
        )
        return config
