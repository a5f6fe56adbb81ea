"""Transforms of chunks of files: columns made of others, and columns joined from a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc


class Transform(Protocol):
    """Makes columns of columns, chunk by chunk, as the public sets need it."""

    inputs: list[str]

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns that come out."""
        ...

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The chunk with the new columns, its rows in their order."""
        ...


class Derive:
    """Adds columns that are functions of others, or replaces them.

    Args:
        name: names the transform where what was learned is cached.
        inputs: columns that `make` reads.
        types: name → type of the columns that it makes.
        make: from a chunk to these columns.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[str],
        types: Mapping[str, pa.DataType],
        make: Callable[[pa.RecordBatch], Mapping[str, pa.Array]],
    ) -> None:
        self.inputs = list(inputs)
        self._name, self._types, self._make = name, dict(types), make

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """See `Transform`."""
        return pa.schema([*{**{f.name: f.type for f in schema}, **self._types}.items()])

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        columns.update(self._make(batch))
        return pa.RecordBatch.from_arrays([*columns.values()], [*columns])

    def __repr__(self) -> str:
        return f"Derive({self._name}, {self.inputs}, {sorted(self._types)})"


def join(name: str, key: str, keys: pa.Array, columns: Mapping[str, pa.Array]) -> Derive:
    """Adds the columns of a table, found by a key; null where the key is unknown.

    Args:
        name: see `Derive`.
        key: column of the rows, text or numbers.
        keys: the table's keys, each once, as text.
        columns: the table's other columns.
    """

    def look_up(batch: pa.RecordBatch) -> dict[str, pa.Array]:
        own = batch.column(batch.schema.get_field_index(key))
        places = pc.index_in(own.cast(keys.type), value_set=keys)
        return {name: array.take(places) for name, array in columns.items()}

    types = {name: array.type for name, array in columns.items()}
    return Derive(f"{name}, {len(keys)} keys", [key], types, look_up)


class Chain:
    """Several transforms, one after another."""

    def __init__(self, *steps: Transform) -> None:
        self._steps = steps
        made: set[str] = set()
        self.inputs: list[str] = []
        for step in steps:
            self.inputs += [name for name in step.inputs if name not in made | {*self.inputs}]
            made |= set(step.schema(pa.schema([])).names)

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """See `Transform`."""
        for step in self._steps:
            schema = step.schema(schema)
        return schema

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for step in self._steps:
            batch = step(batch)
        return batch

    def __repr__(self) -> str:
        return f"Chain({list(self._steps)})"


def text(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of a text file as strings."""
    return batch.column(batch.schema.get_field_index(name)).cast(pa.string())
