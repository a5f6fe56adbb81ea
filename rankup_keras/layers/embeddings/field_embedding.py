"""Every field of a table set, looked up at once."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.weight_files import write_variable
from rankup_keras.features.spec import FieldSpec
from rankup_keras.kernels.program import beside, on_host
from rankup_keras.layers.embeddings import gather_and_pool
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.embeddings.host_memory import near_enough
from rankup_keras.layers.embeddings.initializers import in_pieces
from rankup_keras.layers.embeddings.layout import Stack, by_gather, by_variable, in_blocks_of
from rankup_keras.layers.embeddings.table_view import TableView


@serializable
class FieldEmbedding(FieldLookup):
    """Looks up every field of a table set with one gather.

    All tables of one width are stacked in one variable, the table sets of the
    same fields side by side in its columns, and an id is shifted by the first
    row of its table. So the graph has one gather per width, however many fields
    and table sets there are, and its gradient names the rows that it touches:
    with the optimizers of `rankup_keras.optimizers` the cost of a step depends
    on the ids in the batch and not on the size of the tables.

    Args:
        tables: list of `TableSpec` (or their configs).
        fields: list of `FieldSpec` (or their configs), in the order in which
            their vectors are concatenated.
        embedding_dim: int. Width of the tables whose `dim` is `None`. Defaults
            to 16.
        table_sets: the table sets, each of which has tables of its own (the
            multi-embedding): an integer, a list of names, or a dict from name to
            the list of fields that the set holds, `None` for all. Defaults to
            one set, `"shared"`.
        widths: dict from a table set to the width that all its tables have
            instead of their own: one wider set is the control with equal
            parameters for several sets. Defaults to none.
        embeddings_initializer: initializer of every row. It must not depend on
            the number of rows. Defaults to uniform in ±0.05, like Keras's own
            `Embedding`.
        embeddings_regularizer: regularizer of the rows that a batch touches,
            each counted once; other rows cost nothing and stay as they are.
            Defaults to none.
        validate: bool. Whether an id outside its table stops the step with an
            error that names the field. Without the check, such an id reads a row
            of the next table. Defaults to `True`.

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
        padding. A set of sequences alone has no `out[set]`. All in the compute
        dtype.

    Raises:
        ValueError: tables, fields and table sets that do not belong together;
            an initializer that depends on the number of rows; `ids` of another
            dtype or of too few columns.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk
    from rankup_keras.features import FieldSpec, TableSpec

    tables = [TableSpec("item", rows=1000), TableSpec("genre", rows=20)]
    fields = [
        FieldSpec("item", "item", start=0),
        FieldSpec("genres", "genre", start=1, length=3, kind="bag"),
    ]
    layer = rk.layers.FieldEmbedding(tables, fields, table_sets=("token", "global"))
    vectors = layer(np.array([[7, 1, 2, 0]]))
    assert vectors["token"].shape == vectors["global"].shape == (1, 32)
    assert layer.get_tables()["token/item"].shape == (1000, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878 (multi-embedding).
    """

    def table_views(self) -> dict[str, TableView]:
        """The tables where they lie, as `set/table` → `TableView`, to read rows without a copy."""
        if not self.built:
            raise RuntimeError(
                f"Layer '{self.name}' has no tables yet; call it, or its model, once before."
            )
        return {
            block.key: TableView(
                self.table_variables[stack.variable],
                block.offset,
                block.rows,
                stack.width,
                stack.start,
            )
            for stack in self.stacks
            for block in stack.blocks
        }

    def get_tables(self) -> dict[str, np.ndarray]:
        return {key: view.to_numpy() for key, view in self.table_views().items()}

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        self.check_tables(tables)
        views = self.table_views()
        for key, table in tables.items():
            views[key].assign(table)

    def save_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(self.table_variables):
            write_variable(store, str(index), variable)

    def load_own_variables(self, store: Any) -> None:
        # Where it is not built, Keras says so.
        with beside(self.table_variables[0].value) if self.built else contextlib.nullcontext():
            super().load_own_variables(store)

    def restricted(self, fields: Sequence[FieldSpec], name: str | None = None) -> "FieldEmbedding":
        """A layer that looks up only some fields, in this layer's own variables.

        Args:
            fields: the fields to keep, which may have their ids in other slots; a table set
                without any of them is left out.
            name: name of the new layer. Defaults to this one's with `_part`.
        """
        config = self.get_config()
        config["name"] = name or f"{self.name}_part"
        config["fields"] = [field.get_config() for field in fields]
        names = {field.name for field in fields}
        kept = {s: [f.name for f in self.members(s) if f.name in names] for s in self.table_sets}
        config["table_sets"] = {s: members for s, members in kept.items() if members}
        config["widths"] = {s: w for s, w in self.widths.items() if kept[s]}
        part = type(self).from_config(config)
        own = {(stack.table_set, stack.width): stack for stack in self.stacks}
        part.stacks = tuple(
            in_blocks_of(stack, own[stack.table_set, stack.width]) for stack in part.stacks
        )
        part.table_variables = self.table_variables
        part.built = True
        return part

    def build(self, input_shape: Any = None) -> None:
        self.table_variables: list[Any] = []
        width = tf.as_dtype(self.variable_dtype).size
        size = sum(width * stack.rows * stack.width for stack in self.stacks)
        with near_enough(self.name, size):
            self._add_tables()
        self.built = True

    def _add_tables(self) -> None:
        for stacks in by_variable(self.stacks):
            widths = [stack.width for stack in stacks]
            variable = self.add_weight(
                name=f"{'_'.join(stack.table_set for stack in stacks)}_{sum(widths)}",
                shape=(stacks[0].rows, sum(widths)),
                initializer=in_pieces(self.embeddings_initializer),
                dtype=self.variable_dtype,
                autocast=False,
            )
            # By these, optimizers know a table from a dense weight, and the widths of the tables
            # that lie side by side in a row of the variable.
            variable.row_sparse = True
            variable.row_parts = tuple(widths)
            self.table_variables.append(variable)

    def call(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        ids = self.checked(ids)
        pooled: dict[str, list[tuple[Stack, Any]]] = {name: [] for name in self.table_sets}
        outputs: dict[str, Any] = {}
        for stacks in by_gather(self.stacks):
            for stack, rows in zip(stacks, self._gather(stacks, ids), strict=True):
                vectors, sequences = self._reduce(stack, rows, ids, weights)
                outputs.update(sequences)
                if stack.pooled:
                    pooled[stack.table_set].append((stack, vectors))
        for name, parts in pooled.items():
            if parts:
                outputs[name] = self._join(name, parts)
        return outputs

    def _gather(self, stacks: Sequence[Stack], ids: tf.Tensor) -> list[tf.Tensor]:
        """The rows (batch, slots, width) of stacks that one gather reads."""
        stack, variable = stacks[0], self.table_variables[stacks[0].variable].value
        wide = tf.int64 if stack.rows > np.iinfo(np.int32).max else ids.dtype
        own = gather_and_pool.take_columns(ids, stack.columns)
        with on_host():
            indices = tf.cast(own, wide) + tf.constant(stack.offsets, wide)
        places = [(s.start, s.width) for s in stacks]
        if self.embeddings_regularizer is not None:
            with on_host():
                different = tf.unique(tf.reshape(indices, (-1,)))[0]
            touched = tf.gather(variable, different)
            for start, width in places:
                self.add_loss(self.embeddings_regularizer(touched[:, start : start + width]))
        rows = gather_and_pool.take_rows(variable, indices, places)
        return [tf.cast(x, self.compute_dtype) for x in rows]

    def _reduce(
        self, stack: Stack, rows: tf.Tensor, ids: tf.Tensor, weights: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """Vectors (batch, fields, width) of singles and bags of one stack; its sequences."""
        sizes = [stack.singles, *(g.fields * g.length for g in stack.bags)]
        sizes += [len(run.slots) for run in stack.sequences]
        sizes = [size for size in sizes if size]
        parts = tf.split(rows, sizes, axis=1) if len(sizes) > 1 else [rows]
        vectors = [parts.pop(0)] if stack.singles else []
        for group in stack.bags:
            float_type = tf.as_dtype(self.variable_dtype)
            coefficients = gather_and_pool.bag_coefficients(ids, weights, group, float_type)
            vectors.append(gather_and_pool.reduce_bags(parts.pop(0), coefficients))
        sequences = {}
        for run in stack.sequences:
            present = tf.cast(gather_and_pool.take_columns(ids, run.first) > 0, rows.dtype)
            items = gather_and_pool.mean_of_hashes(parts.pop(0), run.hashes)
            sequences[run.key] = items * present[:, :, None]
        return vectors, sequences

    def _join(self, name: str, stacks: list[tuple[Stack, list[Any]]]) -> Any:
        """The vectors of all stacks of a table set, side by side in the order of declaration."""
        names = [field for stack, _ in stacks for field in stack.pooled]
        dims = [stack.width for stack, _ in stacks for _ in stack.pooled]
        step = math.gcd(*dims)
        # In pieces of `step` columns, (batch, pieces, step): where each field begins.
        ends = np.cumsum(dims) // step
        pieces = {
            field: np.arange(end - dim // step, end)
            for field, end, dim in zip(names, ends, dims, strict=True)
        }
        order = np.concatenate([pieces[field] for field in self.field_names(name)])
        cut = [
            x
            if stack.width == step
            else tf.reshape(x, (-1, x.shape[1] * (stack.width // step), step))
            for stack, vectors in stacks
            for x in vectors
        ]
        flat = cut[0] if len(cut) == 1 else tf.concat(cut, axis=1)
        if not np.array_equal(order, np.arange(len(order))):
            flat = gather_and_pool.permute_columns(flat, order.astype(np.int32))
        return tf.reshape(flat, (-1, len(order) * step))
