"""Tables in and out of the shards that SparseCores hold.

Row r of a table lies in core `(r + rotation) mod cores`, at `offset + r // cores`
of the stack that the table is part of; rows and columns are padded. A stack is
one variable, whose `values` are the devices' parts, each the cores of one
device one after the other.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rankup_keras.layers.embeddings.initializers import reseeded


def cores_of(values: Sequence[np.ndarray], cores: int) -> np.ndarray:
    """The devices' parts of a stack as (cores, rows a core, width)."""
    whole = np.concatenate(values)
    if len(whole) % cores:
        raise ValueError(f"{len(whole)} rows of a stack do not divide into {cores} SparseCores.")
    return whole.reshape(cores, len(whole) // cores, whole.shape[1])


def read_table(stack: np.ndarray, layout: Any) -> np.ndarray:
    """One table (rows, width) out of a stack (cores, rows a core, width).

    Args:
        stack: from `cores_of`.
        layout: the table's `SparseCoreTableLayout`.
    """
    cores = layout.num_sparse_cores
    rows, width = layout.unsharded_shape
    start = layout.sparse_core_shard_row_offset
    size = layout.unsharded_padded_shape[0] // cores
    own = np.roll(stack[:, start : start + size], -layout.sparse_core_shard_rotation, axis=0)
    return own.transpose(1, 0, 2).reshape(size * cores, -1)[:rows, :width]


def write_table(stack: np.ndarray, layout: Any, table: np.ndarray) -> None:
    """Puts a table (rows, width) into its place in a stack; the padding stays as it is."""
    rows, width = layout.unsharded_shape
    if table.shape != (rows, width):
        raise ValueError(
            f"Table '{layout.table_name}' has the shape {(rows, width)}. Received: {table.shape}."
        )
    cores = layout.num_sparse_cores
    row = np.arange(rows)
    core = (row + layout.sparse_core_shard_rotation) % cores
    stack[core, layout.sparse_core_shard_row_offset + row // cores, :width] = table


def read_tables(embedding: Any) -> dict[str, np.ndarray]:
    """All tables of a `TPUEmbeddingV2`, by name."""
    layouts = embedding.embedding_layouts
    stacks = {
        name: [value.numpy() for value in variable.values]
        for name, variable in embedding.embedding_tables.items()
    }
    return {
        name: read_table(cores_of(stacks[own.stacked_table_name], own.num_sparse_cores), own)
        for name, own in layouts.items()
    }


def write_tables(embedding: Any, tables: dict[str, np.ndarray]) -> None:
    """Writes tables, by name, into a `TPUEmbeddingV2`; the others stay as they are."""
    layouts = [embedding.embedding_layouts[name] for name in tables]
    for stack_name in sorted({layout.stacked_table_name for layout in layouts}):
        values = embedding.embedding_tables[stack_name].values
        own = [layout for layout in layouts if layout.stacked_table_name == stack_name]
        stack = cores_of([value.numpy() for value in values], own[0].num_sparse_cores).copy()
        for layout in own:
            write_table(stack, layout, np.asarray(tables[layout.table_name]))
        parts = np.split(stack.reshape(-1, stack.shape[2]), len(values))
        for value, part in zip(values, parts, strict=True):
            value.assign(part)


def in_shards(initializer: Any, table: str) -> Callable[..., Any]:
    """An initializer that gives every shard of every table on a TPU numbers of its own.

    TensorFlow asks for one shard after the other, and a Keras initializer returns
    the same numbers at each call: all devices and tables would start with the
    same rows.
    """

    def initial(shape: Any, dtype: Any = None, shard_info: Any = None) -> Any:
        start = 0
        if shard_info is not None:
            shape, start = shard_info.shape, shard_info.offset[0]
        index = zlib.crc32(f"{table} {start}".encode())
        return reseeded(initializer, index)(shape, dtype=dtype)

    return initial
