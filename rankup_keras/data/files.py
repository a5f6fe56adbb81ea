"""`Files`: rows in files, as batches that `fit` takes."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rankup_keras.compat.tf_data import tell_batches
from rankup_keras.data import reading
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.block import Block
from rankup_keras.data.cleaning import Cleaned, Cleaner
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.encoder import Encoder
from rankup_keras.data.epochs import Epochs
from rankup_keras.data.fingerprints import Mark, check_unchanged, mark_of, unreadable
from rankup_keras.data.packing import Packer
from rankup_keras.data.parquet_source import ParquetSource
from rankup_keras.data.paths import Paths, format_of, resolve_paths
from rankup_keras.data.row_filters import RowFilter
from rankup_keras.data.schema import (
    check_column,
    check_schema,
    common_schema,
    feature_targets,
    label_targets,
    rate_targets,
)
from rankup_keras.data.source import Chunk, Source, Unit
from rankup_keras.data.tfrecord_source import TFRecordSource
from rankup_keras.data.transforms import Transform
from rankup_keras.features import FeatureSet
from rankup_keras.features.autotuning import without_autotuner
from rankup_keras.features.target import Target
from rankup_keras.layers.towers import Task

CHUNK = 32_768
SHUFFLE_ROWS = 131_072


class Files:
    r"""Rows in Parquet, CSV, TSV or TFRecord files, which may be larger than memory.

    Only the columns that the features and tasks name are read. Types are those
    that the features declare; a `Categorical` without one takes numbers of
    Parquet and TFRecord files as `int64`, everything else as strings.

    Missing values: null, in text the empty value and `\\N`, in numbers of text
    files also `NULL`, `NA`, `N/A`, `n/a`, `None` and `NaN`; a feature that a TFRecord
    file does not have.

    Args:
        paths: file, folder, pattern such as `"logs/*.parquet"`, or a list of
            them. CSV and TSV files may be compressed (`.gz`, `.zst`,
            `.bz2`), TFRecord files by gzip.
        features: the `FeatureSet`, adapted or not.
        tasks: list of `Task` or of names, whose labels are to be read.
            Defaults to none, as for rows to score.
        weight: column of sample weights, or `None`.
        where: a filter on rows (`OneOf`, `Between`, `Share`), or several, all of which must
            hold. Defaults to none.
        format: `"parquet"`, `"csv"`, `"tsv"` or `"tfrecord"`; `None` (default)
            infers it from the names.
        csv: how text files are written, a `CsvOptions`.
        bad_rows: what happens to malformed rows, a `BadRows`. Defaults to
            stopping at the first.
        extra: a further column, or several, that `tables` carries as they are.
        transform: makes columns of columns, see `transforms.Transform`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    train = rk.data.Files("logs/*.parquet", features, ["click"])
    rk.data.adapt(features, train)
    model = rk.DLRM(features, ["click"], embedding_dim=4, bottom_units=(4,), top_units=(4,))
    model.compile()
    model.fit(train.dataset(32, shuffle=True, seed=0), epochs=1, verbose=0)
    ```

    Raises:
        DataError: a file is missing or damaged, or a column is missing or has
            different types in different files.
    """

    def __init__(
        self,
        paths: Paths,
        features: FeatureSet,
        tasks: Sequence[Task | str] = (),
        weight: str | None = None,
        where: RowFilter | Sequence[RowFilter] = (),
        format: str | None = None,  # noqa: A002  # its name in the configuration as well
        csv: CsvOptions | None = None,
        bad_rows: BadRows | None = None,
        extra: str | Sequence[str] = (),
        transform: Transform | None = None,
    ) -> None:
        self.paths = resolve_paths(paths)
        self._marks: dict[Any, Mark] = {path: mark_of(path) for path in self.paths}
        self.format = format_of(self.paths, format)
        self.features = features
        self.csv = (csv or CsvOptions()).for_format(self.format)
        self.bad_rows = bad_rows or BadRows()
        self.where = [where] if isinstance(where, RowFilter) else list(where)
        self.extra = [extra] if isinstance(extra, str) else list(extra)
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
        if self.format == "tfrecord":
            # The last one knows the features of all files; a file may lack one that is optional.
            schemas = dict.fromkeys(schemas, schemas[self.paths[-1]])
        labels = [*label_targets(tasks), *rate_targets(tasks)]
        if weight is not None:
            labels.append(Target(weight, weight, "float32", role="weight"))
        times = [t.column for t in features.targets().values() if t.unit is not None]
        wanted = [*features.raw_spec(), *(t.column for t in labels), *self._beside()]
        self.schema = common_schema(schemas, wanted, times)
        text = self._source.text and transform is None
        self.targets = feature_targets(features, self.schema, text)
        self.targets += labels
        for path, schema in schemas.items():
            check_schema(self.targets, schema, str(path), self._separator is not None)
            for name in self._beside():
                check_column(name, Counter(schema.names), str(path))
        self.packer = Packer(self.targets)
        self._units: list[Unit] | None = None
        self._columns, self._listed = self._needed()
        decimal = self.csv.decimal if self._source.text else "."
        self._clean = Cleaner(
            self.targets, self._separator, self.where, self._extra_types(), transform, decimal
        )

    def _schema_of(self, path: Any) -> pa.Schema:
        schema = self._source.schema(path)
        if self.transform is None:
            return schema
        for name in self.transform.inputs:
            check_column(name, Counter(schema.names), str(path))
        return self.transform.schema(schema)

    def _beside(self) -> list[str]:
        return [*(name for where in self.where for name in where.columns), *self.extra]

    def _extra_types(self) -> dict[str, pa.DataType | None]:
        """The extra columns' types in all files; `None` for text, which stays as it is."""
        kinds = {name: self.schema.field(name).type for name in self.extra}
        return dict.fromkeys(kinds) if self._source.text else dict(kinds)

    def _needed(self) -> tuple[list[str], set[str]]:
        names = [*(target.column for target in self.targets), *self._beside()]
        if self.transform is not None:
            inside = self._source.schema(self.paths[0]).names
            names = [*self.transform.inputs, *(name for name in names if name in inside)]
        listed = {t.column for t in self.targets if t.shape != "single"}
        return list(dict.fromkeys(names)), listed

    @property
    def fingerprint(self) -> list[Any]:
        """Path, size, time of change and a checksum of both ends of every file, as JSON has it."""
        return [[str(path), *mark] for path, mark in self._marks.items()]

    def check_unchanged(self) -> None:
        """Raises `DataError` where a file is no longer as it was when this object was made."""
        check_unchanged(self._marks)

    def has_rows(self, path: str) -> bool:
        """Whether one of the files has any row, malformed or not."""
        units = [unit for unit in self.units if str(unit[0]) == path]
        chunks = (chunk for unit in units for chunk in self._read(self._source, unit, CHUNK))
        return any(chunk.batch.num_rows for chunk in chunks)

    @property
    def units(self) -> list[Unit]:
        """The stretches of all files that can be read by themselves."""
        if self._units is None:
            self._units = [unit for path in self.paths for unit in self._source.units(path)]
        return self._units

    # Reading

    def chunks(self, unit: Unit) -> Iterator[pa.Table]:
        """Converted rows of a stretch that pass the filters, malformed ones dealt with."""
        return self._cleaned(self._read(self._source, unit, CHUNK), self._clean)

    def _read(self, source: Source, unit: Unit, rows: int) -> Iterator[Chunk]:
        try:
            yield from source.read(unit, self._columns, self._listed, rows)
        except (OSError, tf.errors.NotFoundError) as error:
            gone = FileNotFoundError() if isinstance(error, tf.errors.NotFoundError) else error
            raise unreadable(unit[0], gone) from error

    def _coded_source(self) -> Source:
        if self.format != "parquet" or self.transform is not None:
            return self._source
        words = {t.column for t in self.targets if t.kind == "string" and t.shape == "single"}
        return ParquetSource(coded=words.difference(self._beside()))

    def _cleaned(self, chunks: Iterator[Chunk], clean: Callable[[Chunk], Cleaned]) -> Iterator[Any]:
        for cleaned in reading.in_order(chunks, clean):
            cleaned.report(self.bad_rows)
            if cleaned.rows.num_rows:
                yield cleaned.rows

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
        encoder: Encoder | None = None,
    ) -> Iterator[Any]:
        """One pass, in tables of `batch_size` rows, or in blocks where there is an encoder.

        The other arguments are those of `dataset`.
        """
        self.check_unchanged()
        units, striped = reading.shard_units(self.units, *shard)
        stripe = shard if striped else (0, 1)
        source = self._source if encoder is None else self._coded_source()

        def clean(chunk: Chunk) -> Cleaned:
            cleaned = self._clean(chunk, stripe, coded=encoder is not None)
            if encoder is None:
                return cleaned
            return dataclasses.replace(cleaned, rows=encoder(cleaned.rows))

        if shuffle:
            generator = np.random.default_rng((seed, epoch))
            units = [units[i] for i in generator.permutation(len(units))]
            size = max(1, min(CHUNK, shuffle_rows // min(reading.CYCLE, len(units) or 1)))
            chunks = reading.interleaved(units, lambda unit: self._read(source, unit, size))
            parts = reading.shuffled(self._cleaned(chunks, clean), shuffle_rows, generator)
        else:
            chunks = (chunk for unit in units for chunk in self._read(source, unit, CHUNK))
            parts = self._cleaned(chunks, clean)
        yield from reading.batched(parts, batch_size, drop_remainder, skip)
        self.check_unchanged()

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
        encoded: bool = False,
    ) -> tf.data.Dataset:
        """Batches of `(columns, labels)`, or of `(columns, labels, weights)`, or of columns.

        Files must not change meanwhile: every pass compares their size, time of
        change, first and last bytes with those at the start. Of a folder that
        grows, the files of the start are read.

        Every pass over the dataset is a new epoch with an order of its own,
        which the seed and the epoch's number fix: the position in a run is
        those and the number of batches.

        Args:
            batch_size: rows in a batch.
            shuffle: whether to draw stretches of files (row groups of Parquet)
                in a random order, and rows within buffers.
            seed: seed of the orders. Defaults to 0.
            first_epoch: number of the first pass, for an exact resume.
            skip_batches: batches of the first pass to skip.
            shard: this worker's number and how many there are. Workers take
                different stretches, or alternate rows where there are too few.
                For loops and jobs of your own: `fit` under a strategy of several
                workers shares every batch among them itself, and refuses it.
            shuffle_rows: rows in a buffer. Defaults to 131,072.
            drop_remainder: leave out a last batch of fewer rows.
            encoded: give columns as `FeatureSet.encode` does, the same numbers
                in the same order, at a fraction of the cost: values are looked
                up before rows are shuffled, each distinct one once per chunk.
                The features must be adapted. `fit` takes either. Defaults to
                `False`.

        Raises:
            ValueError: a wrong argument, or `encoded` with features that are
                not adapted.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}.")
        if not 0 <= shard[0] < shard[1]:
            raise ValueError(f"`shard` must be (number, count), number < count. Received: {shard}.")
        if encoded and not self.features.is_adapted:
            raise ValueError(
                "`encoded=True` needs adapted features. "
                "Call `rankup_keras.data.adapt(features, files)` first."
            )
        encoder = Encoder(self.features, self.targets) if encoded else None
        epochs = Epochs(first_epoch)
        order: dict[str, Any] = {
            "shuffle": shuffle, "seed": seed, "shard": shard, "shuffle_rows": shuffle_rows,
            "drop_remainder": drop_remainder, "encoder": encoder,
        }  # fmt: skip

        def generate(draw: int) -> Iterator[dict[str, Any]]:
            epoch = epochs.number(int(draw))
            skip = skip_batches if epoch == first_epoch else 0
            try:
                for part in self.tables(batch_size, epoch=epoch, skip=skip, **order):
                    yield part.arrays if isinstance(part, Block) else self.packer.pack(part)
            except DataError as error:
                # TensorFlow passes on the text of an error only; this one has more to tell.
                self.error = error
                raise
            if encoder is not None and epoch == first_epoch:
                self.features.warn_of_events(encoder.counts)

        signature = self.packer.signature if encoder is None else encoder.signature
        dataset = epochs.draws.flat_map(
            lambda draw: tf.data.Dataset.from_generator(
                generate, args=(draw,), output_signature=signature
            )
        )
        if self.rows is not None and shard[1] == 1 and not skip_batches:
            whole = self.rows // batch_size if drop_remainder else -(-self.rows // batch_size)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(whole))
        arrange = self.arrange if encoder is None else encoder.arrange
        arrange = tf.autograph.experimental.do_not_convert(arrange)
        dataset = dataset.map(arrange, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = without_autotuner(dataset.prefetch(tf.data.AUTOTUNE))
        return tell_batches(dataset, batch_size, shard[1])

    def arrange(self, packed: dict[str, tf.Tensor]) -> Any:
        """Packed tensors → columns, labels and weights, within TensorFlow."""
        parts: dict[str, dict[str, tf.Tensor]] = {"feature": {}, "label": {}, "weight": {}}
        for target, tensor in self.packer.unpack(packed).items():
            # Rates stand among the labels, which they belong to.
            parts["label" if target.role == "rate" else target.role][target.name] = tensor
        if not parts["label"]:
            return parts["feature"]
        item = (parts["feature"], parts["label"])
        return (*item, *parts["weight"].values())

    def __repr__(self) -> str:
        number = len(self.paths)
        return f"{number} {self.format} file{'s' * (number > 1)} ({len(self.targets)} columns)"
