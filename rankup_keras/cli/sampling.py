"""A sample of the rows of files, drawn from all of them and not from their heads."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.features.target import family

SAMPLE = 50_000
# Stretches of Parquet files that are read, evenly spread over all.
UNITS = 16


@dataclasses.dataclass
class Sample:
    """Rows in the order of their files.

    Attributes:
        table: the rows.
        places: number of each row among all that were read.
        rows: how many rows were read.
        first: the first file.
    """

    table: pa.Table
    places: np.ndarray
    rows: int
    first: Path

    @property
    def whole(self) -> bool:
        """Whether it holds all rows that were read."""
        return self.rows == self.table.num_rows

    def array(self, name: str) -> pa.Array:
        """A column in one piece, decoded."""
        column = self.table.column(name)
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def draw(source: Any, files: Sequence[Path], schema: pa.Schema) -> Sample:
    """The rows with the smallest of random keys, the same ones every time.

    Columns of which there are several are not read, since a name would not tell which.

    Raises:
        DataError: the files have no rows.
    """
    names = [name for name in schema.names if schema.names.count(name) == 1]
    listed = {field.name for field in schema if family(field.type).startswith("list of ")}
    units = [unit for file in files for unit in source.units(file)]
    if any(group is not None for _, group in units):
        units = [units[i] for i in sorted({*np.linspace(0, len(units) - 1, UNITS).astype(int)})]
    generator = np.random.default_rng(0)
    tables: list[pa.Table] = []
    places: list[np.ndarray] = []
    keys: list[np.ndarray] = []
    rows, bound = 0, 1.0
    for unit in units:
        for chunk in source.read(unit, names, listed, 8192):
            count = chunk.batch.num_rows
            key = generator.random(count)
            kept = np.flatnonzero(key < bound)
            tables.append(pa.Table.from_batches([chunk.batch]).take(pa.array(kept)))
            places.append(kept + rows)
            keys.append(key[kept])
            rows += count
            if sum(map(len, keys)) > 4 * SAMPLE:
                bound = _thin(tables, places, keys)
    if not rows:
        raise DataError("The file has no rows.", files[0])
    _thin(tables, places, keys)
    return Sample(tables[0], places[0], rows, files[0])


def _thin(tables: list[pa.Table], places: list[np.ndarray], keys: list[np.ndarray]) -> float:
    """Keeps the rows of the smallest keys, in their order; returns the largest key kept."""
    key = np.concatenate(keys)
    kept = np.sort(np.argsort(key, kind="stable")[:SAMPLE])
    table = pa.concat_tables([_plain(table) for table in tables], promote_options="permissive")
    tables[:] = [table.take(pa.array(kept))]
    places[:] = [np.concatenate(places)[kept]]
    keys[:] = [key[kept]]
    return float(keys[0].max(initial=0.0))


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which may differ from file to file."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(index).cast(field.type.value_type)
            table = table.set_column(index, field.name, values)
    return table
