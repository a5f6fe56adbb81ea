"""The order in which rows leave their files: by turns, shuffled, cut into batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from rankup_keras.data.source import Unit

# Stretches of files that are read by turns, so that a buffer holds rows of several.
CYCLE = 8


def shard_units(units: Sequence[Unit], index: int, count: int) -> tuple[list[Unit], bool]:
    """A worker's stretches, and whether it must share them row by row.

    With fewer stretches than workers all read everything and keep every
    `count`-th row.
    """
    if count == 1:
        return list(units), False
    if len(units) < count:
        return list(units), True
    return list(units[index::count]), False


def interleaved(
    units: Sequence[Unit], read: Callable[[Unit], Iterator[pa.Table]]
) -> Iterator[pa.Table]:
    """A table of each of some stretches by turns."""
    waiting = deque(units)
    active: deque[Iterator[pa.Table]] = deque()
    while waiting or active:
        while waiting and len(active) < CYCLE:
            active.append(read(waiting.popleft()))
        iterator = active.popleft()
        table = next(iterator, None)
        if table is not None:
            active.append(iterator)
            yield table


def shuffled(
    tables: Iterable[pa.Table], rows: int, generator: np.random.Generator
) -> Iterator[pa.Table]:
    """Rows in a random order within buffers of about `rows` rows."""
    buffer: list[pa.Table] = []
    held = 0
    for table in tables:
        buffer.append(table)
        held += table.num_rows
        if held >= rows:
            yield _permuted(buffer, generator)
            buffer, held = [], 0
    if held:
        yield _permuted(buffer, generator)


def _permuted(buffer: list[pa.Table], generator: np.random.Generator) -> pa.Table:
    table = pa.concat_tables(buffer).combine_chunks()
    return table.take(pa.array(generator.permutation(table.num_rows)))


def batched(
    tables: Iterable[pa.Table], size: int, drop_remainder: bool, skip: int
) -> Iterator[pa.Table]:
    """Batches of exactly `size` rows, the last one of the rest; the first `skip` left out."""
    held: list[pa.Table] = []
    count = 0
    number = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count < size:
            continue
        whole = pa.concat_tables(held) if len(held) > 1 else held[0]
        start = 0
        while count - start >= size:
            if number >= skip:
                yield whole.slice(start, size)
            number += 1
            start += size
        held = [whole.slice(start)] if start < count else []
        count -= start
    if count and not drop_remainder and number >= skip:
        yield pa.concat_tables(held)
