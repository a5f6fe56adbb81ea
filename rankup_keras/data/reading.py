"""The order in which rows leave their files: interleaved, shuffled, batched."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa

from rankup_keras.data.block import Block
from rankup_keras.data.source import Unit

# Stretches of files that are interleaved, so that a buffer holds rows of several.
CYCLE = 8
# Chunks that are worked on at once.
WORKERS = min(8, os.cpu_count() or 1)

T = TypeVar("T")
R = TypeVar("R")
Rows = TypeVar("Rows", pa.Table, Block)


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


def interleaved(units: Sequence[Unit], read: Callable[[Unit], Iterator[T]]) -> Iterator[T]:
    """Chunks of several stretches, in turn."""
    waiting = deque(units)
    active: deque[Iterator[T]] = deque()
    while waiting or active:
        while waiting and len(active) < CYCLE:
            active.append(read(waiting.popleft()))
        iterator = active.popleft()
        chunk = next(iterator, None)
        if chunk is not None:
            active.append(iterator)
            yield chunk


def in_order(items: Iterator[T], work: Callable[[T], R]) -> Iterator[R]:
    """`work` of items, several at once in threads, in the items' order."""
    pending: deque[Future[R]] = deque()
    failure: Exception | None = None
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="rankup_keras_data") as pool:
        try:
            while True:
                while failure is None and len(pending) <= WORKERS:
                    try:
                        pending.append(pool.submit(work, next(items)))
                    except StopIteration:
                        break
                    except Exception as error:
                        # Results that come before it are yielded first.
                        failure = error
                if not pending:
                    break
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
    if failure is not None:
        raise failure


def shuffled(parts: Iterable[Rows], rows: int, generator: np.random.Generator) -> Iterator[Rows]:
    """Rows in a random order within buffers of about `rows` rows."""
    buffer: list[Rows] = []
    held = 0
    for part in parts:
        buffer.append(part)
        held += part.num_rows
        if held >= rows:
            yield _permuted(buffer, generator)
            buffer, held = [], 0
    if held:
        yield _permuted(buffer, generator)


def _permuted(buffer: list[Rows], generator: np.random.Generator) -> Rows:
    whole = _whole(buffer)
    order = generator.permutation(whole.num_rows)
    if isinstance(whole, Block):
        return whole.take(order)
    return whole.combine_chunks().take(pa.array(order))


def _whole(parts: list[Rows]) -> Rows:
    first = parts[0]
    return first.concat(parts) if isinstance(first, Block) else pa.concat_tables(parts)


def batched(parts: Iterable[Rows], size: int, drop_remainder: bool, skip: int) -> Iterator[Rows]:
    """Batches of exactly `size` rows, the last one of the rest; the first `skip` left out."""
    held: list[Rows] = []
    count = 0
    number = 0
    for part in parts:
        held.append(part)
        count += part.num_rows
        if count < size:
            continue
        whole = _whole(held)
        start = 0
        while count - start >= size:
            if number >= skip:
                yield whole.slice(start, size)
            number += 1
            start += size
        held = [whole.slice(start)] if start < count else []
        count -= start
    if count and not drop_remainder and number >= skip:
        yield _whole(held)
