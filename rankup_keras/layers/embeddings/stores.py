"""Tables as the variables of a `FieldEmbedding` hold them, and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from rankup_keras.layers.embeddings.layout import Stack, by_store


def stores_of(stacks: Sequence[Stack], tables: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The variables' values of tables given as `set/table` → (rows, width)."""
    stores = []
    for own in by_store(stacks):
        first = next(iter(tables.values()))
        store = np.empty((own[0].rows, sum(stack.width for stack in own)), first.dtype)
        for stack in own:
            for block in stack.blocks:
                rows = slice(block.offset, block.offset + block.rows)
                table = tables[f"{block.table_set}/{block.table}"]
                store[rows, stack.start : stack.start + stack.width] = table
        stores.append(store)
    return stores


def tables_of(stacks: Sequence[Stack], stores: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The tables, as `set/table` → (rows, width), of the variables' values.

    Raises:
        ValueError: values of other variables.
    """
    wanted = [(own[0].rows, sum(stack.width for stack in own)) for own in by_store(stacks)]
    shapes = [tuple(store.shape) for store in stores]
    if shapes != wanted:
        raise ValueError(
            f"The saved tables have the shapes {shapes}; this layer's tables need {wanted}."
        )
    return {
        f"{block.table_set}/{block.table}": stores[stack.store][
            block.offset : block.offset + block.rows, stack.start : stack.start + stack.width
        ]
        for stack in stacks
        for block in stack.blocks
    }
