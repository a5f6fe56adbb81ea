"""`Files`: rows in files, as batches that `fit` takes."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rankup_keras.data import reading
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.conversion import convert
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.packing import Packer, key
from rankup_keras.data.parquet_source import ParquetSource
from rankup_keras.data.paths import Paths, format_of, resolve_paths
from rankup_keras.data.source import Chunk, Source, Unit
from rankup_keras.data.target import (
    Target,
    check_schema,
    family,
    feature_targets,
    label_targets,
    missing_column,
)
from rankup_keras.data.tfrecord_source import TFRecordSource
from rankup_keras.data.where import Where
from rankup_keras.features import FeatureSet
from rankup_keras.towers import Task

CHUNK = 32_768
SHUFFLE_ROWS = 131_072


class Transform(Protocol):
    """Makes columns of columns, chunk by chunk, as the public sets need it."""

    inputs: Sequence[str]

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns that come out."""
        ...

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The chunk with the new columns, its rows in their order."""
        ...


class Files:
    r"""Rows in Parquet, CSV, TSV or TFRecord files, larger than memory if need be.

    Only the columns that the features and tasks name are read. Types are those
    that the features declare; a `Categorical` without one takes integers of
    Parquet and TFRecord files as `int64`, everything else as strings.

    Missing values: null, in text the empty value and `\\N`, in numbers of text
    files also `NULL`, `NA`, `N/A`, `None` and `NaN`.

    Args:
        paths: file, folder, pattern such as `"logs/*.parquet"`, or a list of
            them. CSV and TSV files may be compressed (`.gz`, `.zst`), TFRecord
            files by gzip.
        features: the `FeatureSet`, adapted or not.
        tasks: list of `Task` or of names, whose labels are to be read.
            Defaults to none, as for rows to score.
        weight: column of sample weights, or `None`.
        where: conditions on rows (`OneOf`, `Between`, `Share`), all of which
            must hold. Defaults to none.
        format: `"parquet"`, `"csv"`, `"tsv"` or `"tfrecord"`; `None` (default)
            to tell it by the names.
        csv: how text files are written, a `CsvOptions`.
        bad_rows: what happens to bad rows, a `BadRows`. Defaults to stopping.
        extra: further columns that `tables` shall carry as they are.
        transform: makes columns of columns, see `Transform`.

    Example:

    ```python
    train = rankup_keras.data.Files("logs/2026-*.parquet", features, ["click"])
    rankup_keras.data.adapt(features, train)
    model = rankup_keras.RankUp(features, ["click"])
    model.fit(train.dataset(4096, shuffle=True, seed=0), epochs=2)
    ```

    Raises:
        DataError: a file is not there or damaged, a column is missing, or is
            of types that do not go together.
    """

    def __init__(
        self,
        paths: Paths,
        features: FeatureSet,
        tasks: Sequence[Task | str] = (),
        weight: str | None = None,
        where: Sequence[Where] = (),
        format: str | None = None,  # noqa: A002  # its name in the configuration as well
        csv: CsvOptions | None = None,
        bad_rows: BadRows | None = None,
        extra: Sequence[str] = (),
        transform: Transform | None = None,
    ) -> None:
        self.paths = resolve_paths(paths)
        self.format = format_of(self.paths, format)
        self.features = features
        self.csv = (csv or CsvOptions()).for_format(self.format)
        self.bad_rows = bad_rows or BadRows()
        self.where = list(where)
        self.extra = list(extra)
        self.transform = transform
        self.error: DataError | None = None
        self.rows: int | None = None
        self._source: Source
        if self.format == "parquet":
            self._source = ParquetSource()
        elif self.format == "tfrecord":
            self._source = TFRecordSource()
        else:
            self._source = CsvSource(self.csv, self.bad_rows)
        self._separator = self.csv.list_separator if self._source.text else None
        schemas = {path: self._schema_of(path) for path in self.paths}
        self.schema = _common_schema(schemas)
        text = self._source.text and transform is None
        self.targets = feature_targets(features, self.schema, text) + label_targets(tasks)
        if weight is not None:
            self.targets.append(Target(weight, weight, "float32", role="weight"))
        for path, schema in schemas.items():
            check_schema(self.targets, schema, str(path), text, self._separator is not None)
            for name in self._beside():
                if name not in schema.names:
                    raise missing_column(name, schema.names, str(path))
        self.packer = Packer(self.targets)
        self._units: list[Unit] | None = None
        self._columns, self._listed = self._needed()

    def _schema_of(self, path: Any) -> pa.Schema:
        schema = self._source.schema(path)
        if self.transform is None:
            return schema
        for name in self.transform.inputs:
            if name not in schema.names:
                raise missing_column(name, schema.names, str(path))
        return self.transform.schema(schema)

    def _beside(self) -> list[str]:
        return [*(name for where in self.where for name in where.columns), *self.extra]

    def _needed(self) -> tuple[list[str], set[str]]:
        names = [*(target.column for target in self.targets), *self._beside()]
        if self.transform is not None:
            inside = self._source.schema(self.paths[0]).names
            names = [*self.transform.inputs, *(name for name in names if name in inside)]
        listed = {t.column for t in self.targets if t.shape != "single"}
        return list(dict.fromkeys(names)), listed

    @property
    def units(self) -> list[Unit]:
        """The stretches of all files that can be read by themselves."""
        if self._units is None:
            self._units = [unit for path in self.paths for unit in self._source.units(path)]
        return self._units

    # Reading

    def chunks(
        self, unit: Unit, rows: int = CHUNK, stripe: tuple[int, int] = (0, 1)
    ) -> Iterator[pa.Table]:
        """Converted rows of a stretch, bad ones dealt with, those that `where` leaves out away."""
        for chunk in self._source.read(unit, self._columns, self._listed, rows):
            if self.transform is not None:
                batch = self.transform(chunk.batch)
                chunk = Chunk(batch, chunk.file, chunk.first, chunk.line)
            table = self._clean(chunk, stripe)
            if table.num_rows:
                yield table

    def _clean(self, chunk: Chunk, stripe: tuple[int, int]) -> pa.Table:
        batch, kept = chunk.batch, None
        if self.where or stripe[1] > 1:
            mask = np.ones(batch.num_rows, bool)
            for where in self.where:
                mask &= where.mask(chunk)
            if stripe[1] > 1:
                mask &= (chunk.first + np.arange(batch.num_rows)) % stripe[1] == stripe[0]
            if not mask.all():
                kept = np.flatnonzero(mask)
                batch = batch.filter(pa.array(mask))
        arrays, bad = {}, set()
        for target in self.targets:
            column = batch.column(batch.schema.get_field_index(target.column))
            arrays[key(target)], problems = convert(column, target, self._separator)
            for problem in problems:
                row = problem.row if kept is None else int(kept[problem.row])
                self.bad_rows.report(
                    chunk.file, chunk.line(row), target.column, problem.value, problem.reason
                )
                bad.add(problem.row)
        for name in self.extra:
            arrays[f"extra/{name}"] = batch.column(batch.schema.get_field_index(name))
        table = pa.table(arrays) if arrays else pa.Table.from_batches([batch])
        if bad:
            good = np.ones(batch.num_rows, bool)
            good[sorted(bad)] = False
            table = table.filter(pa.array(good))
        return table

    def tables(
        self,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        skip: int = 0,
        shard: tuple[int, int] = (0, 1),
        shuffle_rows: int = SHUFFLE_ROWS,
        drop_remainder: bool = False,
    ) -> Iterator[pa.Table]:
        """One pass, in tables of `batch_size` rows; arguments as those of `dataset`."""
        units, striped = reading.shard_units(self.units, *shard)
        stripe = shard if striped else (0, 1)
        if shuffle:
            generator = np.random.default_rng((seed, epoch))
            units = [units[i] for i in generator.permutation(len(units))]
            size = max(1, min(CHUNK, shuffle_rows // min(reading.CYCLE, len(units) or 1)))
            tables = reading.interleaved(units, lambda unit: self.chunks(unit, size, stripe))
            tables = reading.shuffled(tables, shuffle_rows, generator)
        else:
            tables = (table for unit in units for table in self.chunks(unit, CHUNK, stripe))
        return reading.batched(tables, batch_size, drop_remainder, skip)

    def dataset(
        self,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        first_epoch: int = 0,
        skip_batches: int = 0,
        shard: tuple[int, int] = (0, 1),
        shuffle_rows: int = SHUFFLE_ROWS,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Batches of `(columns, labels)`, or of `(columns, labels, weights)`, or of columns.

        Every pass over the dataset is a new epoch with an order of its own,
        which the seed and the epoch's number fix: the position in a run is
        those and the number of batches.

        Args:
            batch_size: rows in a batch.
            shuffle: whether to draw stretches of files (row groups of Parquet)
                in a random order, and rows within buffers.
            seed: seed of the orders. Defaults to 0.
            first_epoch: number of the first pass, to go on where a run ended.
            skip_batches: batches of the first pass to leave out.
            shard: this worker's number and how many there are. Workers take
                different stretches, or rows by turns where there are too few.
            shuffle_rows: rows in a buffer. Defaults to 131,072.
            drop_remainder: leave out a last batch of fewer rows.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}.")
        if not 0 <= shard[0] < shard[1]:
            raise ValueError(f"`shard` must be (number, count), number < count. Received: {shard}.")
        epochs = itertools.count(first_epoch)

        def generate() -> Iterator[dict[str, Any]]:
            epoch = next(epochs)
            skip = skip_batches if epoch == first_epoch else 0
            try:
                for table in self.tables(
                    batch_size, shuffle, seed, epoch, skip, shard, shuffle_rows, drop_remainder
                ):
                    yield self.packer.pack(table)
            except DataError as error:
                # TensorFlow passes on the text of an error only; this one has more to tell.
                self.error = error
                raise

        dataset = tf.data.Dataset.from_generator(generate, output_signature=self.packer.signature)
        if self.rows is not None and shard[1] == 1 and not skip_batches:
            whole = self.rows // batch_size if drop_remainder else -(-self.rows // batch_size)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(whole))
        dataset = dataset.map(self.arrange, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def arrange(self, packed: dict[str, tf.Tensor]) -> Any:
        """Packed tensors → columns, labels and weights, within TensorFlow."""
        parts: dict[str, dict[str, tf.Tensor]] = {"feature": {}, "label": {}, "weight": {}}
        for target, tensor in self.packer.unpack(packed).items():
            parts[target.role][target.name] = tensor
        if not parts["label"]:
            return parts["feature"]
        item = (parts["feature"], parts["label"])
        return (*item, *parts["weight"].values())

    def __repr__(self) -> str:
        number = len(self.paths)
        return f"{number} {self.format} file{'s' * (number > 1)} ({len(self.targets)} columns)"


def _common_schema(schemas: dict[Any, pa.Schema]) -> pa.Schema:
    """One schema for all files.

    Raises:
        DataError: a column is text in one file and numbers in another.
    """
    first: dict[str, tuple[Any, pa.Field]] = {}
    for path, schema in schemas.items():
        for field in schema:
            if field.name not in first or family(first[field.name][1].type) == "null":
                first[field.name] = (path, field)
                continue
            where, known = first[field.name]
            kinds = {family(known.type), family(field.type)} - {"null"}
            if len(kinds) > 1 and kinds != {"integer", "number"}:
                raise DataError(
                    f"The column is of type {field.type} here and of type {known.type} in {where}. "
                    "A column must have one type in all files.",
                    path,
                    column=field.name,
                )
            if family(field.type) == "number":
                first[field.name] = (path, field)
    return pa.schema([field for _, field in first.values()])
