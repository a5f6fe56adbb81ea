"""MovieLens 1M, 20M and 32M."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.csv_source import CsvSource
from rankup_keras.data.data_error import DataError
from rankup_keras.data.joining import Chain, Derive, Join, text
from rankup_keras.data.row_filters import Between, Share
from rankup_keras.datasets.public_set import PublicSet, find, make_set
from rankup_keras.features import Categorical, FeatureSet

TERMS = (
    "MovieLens comes from GroupLens Research, University of Minnesota: research use, no "
    "redistribution, no commercial use without permission, acknowledged by citing F. M. Harper and "
    "J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015."
)
_DAT = {
    "ratings.dat": ["userId", "movieId", "rating", "timestamp"],
    "movies.dat": ["movieId", "title", "genres"],
    "users.dat": ["userId", "gender", "age", "occupation", "zip"],
}


def movielens_1m(source: str | os.PathLike[str], split: str = "random") -> PublicSet:
    """MovieLens 1M: `ratings.dat`, `users.dat` and `movies.dat`, `::` between the columns.

    Tasks are `like` (a rating of 4 or 5) and `love` (5). Beside the columns of
    the files there are `release_year` and `genres`, a list.

    Args:
        source: the folder `ml-1m`.
        split: `"random"` (default), 80, 10 and 10 % of the rows; or `"time"`,
            the oldest 80 % train and the newest 10 % test.
    """
    users = _table(find(source, "users.dat"))
    people = Join(
        "userId",
        users.pop("userId"),
        {name: users[name] for name in ("gender", "age", "occupation")}
        | {"zip3": pc.utf8_slice_codeunits(users["zip"], 0, 3)},
        "users of MovieLens",
    )
    features = [
        Categorical("userId", dtype="string", side="user"),
        Categorical("gender", dtype="string", side="user"),
        Categorical("age", dtype="string", side="user"),
        Categorical("occupation", dtype="string", side="user"),
        Categorical("zip3", dtype="string", min_count=20, side="user"),
        *_item_features(),
    ]
    return _make(source, "ratings.dat", "movies.dat", split, features, [people])


def movielens_20m(source: str | os.PathLike[str], split: str = "random") -> PublicSet:
    """MovieLens 20M: `ratings.csv` and `movies.csv`, with headers.

    Tasks are `like` (a rating of 4 or more) and `love` (5). Beside `userId`
    and `movieId` there are `release_year` and `genres`, a list.

    Args:
        source: the folder `ml-20m`.
        split: as of `movielens_1m`.
    """
    features = [Categorical("userId", dtype="string", side="user"), *_item_features()]
    return _make(source, "ratings.csv", "movies.csv", split, features, [])


def movielens_32m(source: str | os.PathLike[str], split: str = "random") -> PublicSet:
    """MovieLens 32M, whose files have the form of 20M's; see `movielens_20m`."""
    return movielens_20m(source, split)


def _item_features() -> list[Categorical]:
    return [
        Categorical("movieId", dtype="string", side="candidate"),
        Categorical("release_year", dtype="string", side="candidate"),
        Categorical("genres", dtype="string", max_length=10, side="candidate"),
    ]


def _make(
    source: str | os.PathLike[str],
    ratings: str,
    movies: str,
    split: str,
    features: list[Categorical],
    joins: list[Join],
) -> PublicSet:
    if split not in ("random", "time"):
        raise ValueError(f'`split` must be "random" or "time". Received: split={split!r}.')
    path = find(source, ratings)
    items = _table(find(source, movies))
    year = pc.struct_field(pc.extract_regex(items["title"], r"\((?P<y>\d{4})\)\s*$"), "y")
    films = Join(
        "movieId",
        items["movieId"],
        {"release_year": year, "genres": pc.split_pattern(items["genres"], "|")},
        "films of MovieLens",
    )
    labels = Derive(
        ["rating"],
        {
            "like": (pa.float32(), lambda batch: _at_least(batch, 4.0)),
            "love": (pa.float32(), lambda batch: _at_least(batch, 5.0)),
        },
        "labels of MovieLens",
    )
    if split == "time":
        early, late = _cuts(path)
        parts: list[Any] = [
            ([path], [Between("timestamp", None, early)]),
            ([path], [Between("timestamp", early, late)]),
            ([path], [Between("timestamp", late, None)]),
        ]
    else:
        parts = [([path], [Share(a, b)]) for a, b in ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))]
    return make_set(
        FeatureSet(features),
        ["like", "love"],
        TERMS,
        parts,
        format="csv",
        csv=_options(path),
        transform=Chain(labels, films, *joins),
    )


def _options(path: Path) -> CsvOptions:
    columns = _DAT.get(path.name.removesuffix(".gz").removesuffix(".zst"))
    if columns is None:
        return CsvOptions(delimiter=",", quote='"')
    return CsvOptions(delimiter="::", header=False, columns=columns, quote=None, encoding="latin-1")


def _table(path: Path) -> dict[str, pa.Array]:
    """A small table, in memory, all text."""
    source = CsvSource(_options(path), BadRows())
    names = source.schema(path).names
    batches = [chunk.batch for chunk in source.read((path, None), names, set(), 1 << 16)]
    if not batches:
        raise DataError("The table has no rows.", path)
    table = pa.Table.from_batches(batches).combine_chunks()
    arrays = {}
    for name in names:
        column = table.column(name).combine_chunks()
        array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        arrays[name] = array.cast(pa.string())
    return arrays


def _at_least(batch: pa.RecordBatch, rating: float) -> pa.Array:
    values = text(batch, "rating").cast(pa.float64())
    return pc.greater_equal(values, rating).cast(pa.int8()).cast(pa.float32())


def _cuts(path: Path) -> tuple[float, float]:
    """The times before which lie 80 and 90 % of the ratings."""
    source = CsvSource(_options(path), BadRows())
    times = [
        chunk.batch.column(0).cast(pa.string()).cast(pa.int64()).to_numpy()
        for chunk in source.read((path, None), ["timestamp"], set(), 1 << 18)
    ]
    ordered = np.sort(np.concatenate(times))
    return tuple(float(ordered[round(share * len(ordered))]) for share in (0.8, 0.9))  # type: ignore[return-value]
