"""`PublicSet`: a public data set in its own format, and what all of them share."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankup_keras.data.adapt_from_files import adapt
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.packing import one_chunk
from rankup_keras.data.row_filters import Between, RowFilter, Share
from rankup_keras.data.statistics import Statistics
from rankup_keras.features import FeatureSet

Source = str | os.PathLike[str]
Part = tuple[Sequence[Path], Sequence[RowFilter]]


@dataclasses.dataclass
class PublicSet:
    """Training, validation and test rows, read from the user's copy of a public set.

    Attributes:
        features: the ready-made `FeatureSet`; call `adapt` before building a model.
        tasks: names of the tasks.
        train: `Files` of the training rows.
        valid: `Files` for early stopping and other choices.
        test: `Files` for the figures that are reported.
        terms: the publisher's terms, in short.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.criteo("train.txt", min_count=2)
    data.adapt()
    model = rk.DLRM(data.features, data.tasks, embedding_dim=4, bottom_units=(4,), top_units=(4,))
    model.compile()
    model.fit(data.train.dataset(64, shuffle=True), epochs=1, verbose=0)
    ```
    """

    features: FeatureSet
    tasks: list[str]
    train: Files
    valid: Files
    test: Files
    terms: str

    def adapt(self, cache: Source | None = None) -> Statistics:
        """Adapts the features to the training rows, see `rankup_keras.data.adapt`."""
        return adapt(self.features, self.train, cache)


def make_set(
    features: FeatureSet, tasks: Sequence[str], terms: str, parts: Sequence[Part], **settings: Any
) -> PublicSet:
    """A set of three parts, each with its files and filters, all read with the same settings."""
    train, valid, test = (
        Files(list(paths), features, list(tasks), where=where, **settings) for paths, where in parts
    )
    return PublicSet(features, list(tasks), train, valid, test, terms)


def random_parts(*paths: Path) -> list[Part]:
    """80, 10 and 10 % of the rows, at random."""
    return [(paths, [Share(low, high)]) for low, high in ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))]


def time_parts(path: Path, column: str, cuts: tuple[float, float]) -> list[Part]:
    """The rows before, between and after two times."""
    first, second = cuts
    bounds = ((None, first), (first, second), (second, None))
    return [([path], [Between(column, low, high)]) for low, high in bounds]


def check_split(split: str) -> None:
    """Refuses another split than by chance or by time."""
    if split not in ("random", "time"):
        raise ValueError(f'`split` must be "random" or "time". Received: split={split!r}.')


def column_names(path: Path, options: CsvOptions) -> list[str]:
    """The columns of a CSV file."""
    return list(CsvSource(options.for_format("csv"), BadRows()).schema(path).names)


def text_batches(
    paths: Sequence[Path], options: CsvOptions, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of CSV files, as bytes, chunk by chunk; a malformed row is an error."""
    source = CsvSource(options.for_format("csv"), BadRows())
    for path in paths:
        missing = set(names) - set(column_names(path, options))
        if missing:
            raise DataError(f"The table has no columns {sorted(missing)}.", path)
        for chunk in source.read((path, None), names, set(), 1 << 16):
            yield chunk.batch


def text_table(
    paths: Sequence[Path], options: CsvOptions, names: Sequence[str] | None = None
) -> dict[str, pa.Array]:
    """Some columns of small CSV files, or all, as strings in memory."""
    names = names or column_names(paths[0], options)
    batches = list(text_batches(paths, options, names))
    if not batches:
        raise DataError("The table has no rows.", paths[0])
    table = pa.Table.from_batches(batches)
    return {name: one_chunk(table.column(name)).cast(pa.string()) for name in names}


def find(source: Source, *names: str) -> Path:
    """A file of a set by one of its names, plain or compressed, in a folder or beside it.

    Raises:
        DataError: it is not there.
    """
    place = Path(source).expanduser()
    if place.is_file():
        place = place.parent
    for name in names:
        for ending in ("", ".gz", ".zst"):
            for path in (place / f"{name}{ending}", *sorted(place.glob(f"*/{name}{ending}"))):
                if path.is_file():
                    return path
    raise DataError(f"There is no {' or '.join(names)}, plain or with .gz or .zst.", place)


def file_or_find(source: Source, *names: str) -> Path:
    """The source itself where it is a file, else a file in it by one of its names."""
    place = Path(source).expanduser()
    return place if place.is_file() else find(place, *names)


def find_all(source: Source, test: Callable[[str], bool], what: str) -> list[Path]:
    """All files of a folder whose names pass a test, in their order.

    Raises:
        DataError: there is none.
    """
    place = Path(source).expanduser()
    found = [path for path in sorted(place.rglob("*")) if path.is_file() and test(path.name)]
    if not found:
        raise DataError(f"There is no file {what} in the folder.", place)
    return found
