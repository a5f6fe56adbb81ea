"""Transforms of public sets: columns made of others, and columns of a second table."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc


class Derive:
    """Adds columns that are functions of others.

    Args:
        inputs: columns that the functions read.
        made: name → (type, function from the chunk to the column).
        name: names the transform where what was learned is kept.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        made: Mapping[str, tuple[pa.DataType, Callable[[pa.RecordBatch], pa.Array]]],
        name: str,
    ) -> None:
        self.inputs = list(inputs)
        self._made = dict(made)
        self._name = name

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of the file and those that are made."""
        return _with_fields(schema, {name: kind for name, (kind, _) in self._made.items()})

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return with_columns(batch, {name: make(batch) for name, (_, make) in self._made.items()})

    def __repr__(self) -> str:
        return f"Derive({self._name}, {self.inputs}, {sorted(self._made)})"


class Join:
    """Adds the columns of a table, found by a key; null where the key is unknown.

    Args:
        key: column of the rows, text or numbers.
        keys: the table's keys, each once, as text.
        columns: the table's other columns.
        name: names the transform where what was learned is kept.
    """

    def __init__(
        self, key: str, keys: pa.Array, columns: Mapping[str, pa.Array], name: str
    ) -> None:
        self.inputs = [key]
        self._keys = keys
        self._columns = dict(columns)
        self._name = name

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of the file and those of the table."""
        return _with_fields(schema, {name: array.type for name, array in self._columns.items()})

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        keys = batch.column(batch.schema.get_field_index(self.inputs[0]))
        places = pc.index_in(keys.cast(self._keys.type), value_set=self._keys)
        return with_columns(batch, {name: a.take(places) for name, a in self._columns.items()})

    def __repr__(self) -> str:
        return f"Join({self._name}, {self.inputs}, {sorted(self._columns)}, {len(self._keys)})"


class Chain:
    """Several transforms, one after another."""

    def __init__(self, *steps: Derive | Join) -> None:
        self._steps = steps
        made: set[str] = set()
        self.inputs: list[str] = []
        for step in steps:
            self.inputs += [name for name in step.inputs if name not in made | {*self.inputs}]
            made |= set(step.schema(pa.schema([])).names)

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of the file and those of all steps."""
        for step in self._steps:
            schema = step.schema(schema)
        return schema

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for step in self._steps:
            batch = step(batch)
        return batch

    def __repr__(self) -> str:
        return f"Chain({list(self._steps)})"


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """A chunk with further columns, or other ones in place of its own."""
    whole = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
    whole.update(columns)
    return pa.RecordBatch.from_arrays(list(whole.values()), list(whole))


def _with_fields(schema: pa.Schema, fields: Mapping[str, pa.DataType]) -> pa.Schema:
    whole = {field.name: field.type for field in schema}
    whole.update(fields)
    return pa.schema(list(whole.items()))


def text(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of a text file as strings."""
    return batch.column(batch.schema.get_field_index(name)).cast(pa.string())
