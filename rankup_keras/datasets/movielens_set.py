"""MovieLens 1M, 20M and 32M."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.transforms import Chain, Derive, join, text
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import PublicSet, Source
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


def movielens_1m(source: Source, split: str = "random") -> PublicSet:
    """MovieLens 1M: `ratings.dat`, `users.dat` and `movies.dat`, `::` between the columns.

    Tasks are `like` (a rating of 4 or 5) and `love` (5). Beside the columns of
    the files there are `release_year` and `genres`, a list.

    Args:
        source: the folder `ml-1m`.
        split: `"random"` (default), 80, 10 and 10 % of the rows; or `"time"`,
            the oldest 80 % train and the newest 10 % test.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.movielens_1m("ml-1m", split="time")
    columns, labels = next(iter(data.train.dataset(16)))
    ```

    References:
        - Harper and Konstan, "The MovieLens Datasets: History and Context", ACM
          TiiS 5(4), 2015.
    """
    users = _table(public_set.find(source, "users.dat"))
    keys = users.pop("userId")
    users["zip3"] = pc.utf8_slice_codeunits(users.pop("zip"), 0, 3)
    people = join("users of MovieLens", "userId", keys, users)
    features = [
        Categorical("userId", dtype="string", side="user"),
        Categorical("gender", dtype="string", side="user"),
        Categorical("age", dtype="string", side="user"),
        Categorical("occupation", dtype="string", side="user"),
        Categorical("zip3", dtype="string", min_count=20, side="user"),
        *_item_features(),
    ]
    return _make(source, "ratings.dat", "movies.dat", split, features, [people])


def movielens_20m(source: Source, split: str = "random") -> PublicSet:
    """MovieLens 20M: `ratings.csv` and `movies.csv`, with headers.

    Tasks are `like` (a rating of 4 or more) and `love` (5). Beside `userId`
    and `movieId` there are `release_year` and `genres`, a list.

    Args:
        source: the folder `ml-20m`.
        split: as of `movielens_1m`.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.movielens_20m("ml-20m")
    columns, labels = next(iter(data.train.dataset(16)))
    ```
    """
    features = [Categorical("userId", dtype="string", side="user"), *_item_features()]
    return _make(source, "ratings.csv", "movies.csv", split, features, [])


def movielens_32m(source: Source, split: str = "random") -> PublicSet:
    """MovieLens 32M, whose files have the form of 20M's; see `movielens_20m`.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.movielens_32m("ml-32m")
    columns, labels = next(iter(data.train.dataset(16)))
    ```
    """
    return movielens_20m(source, split)


def _item_features() -> list[Categorical]:
    return [
        Categorical("movieId", dtype="string", side="candidate"),
        Categorical("release_year", dtype="string", side="candidate"),
        Categorical("genres", dtype="string", max_length=10, side="candidate"),
    ]


def _make(
    source: Source,
    ratings: str,
    movies: str,
    split: str,
    features: list[Categorical],
    joins: list[Derive],
) -> PublicSet:
    public_set.check_split(split)
    path = public_set.find(source, ratings)
    items = _table(public_set.find(source, movies))
    year = pc.struct_field(pc.extract_regex(items["title"], r"\((?P<y>\d{4})\)\s*$"), "y")
    genres = pc.split_pattern(items["genres"], "|")
    made = {"release_year": year, "genres": genres}
    films = join("films of MovieLens", "movieId", items["movieId"], made)
    types = {"like": pa.float32(), "love": pa.float32()}
    labels = Derive("labels of MovieLens", ["rating"], types, _labels)
    by_time = split == "time"
    return public_set.make_set(
        FeatureSet(features),
        ["like", "love"],
        TERMS,
        public_set.time_parts(path, "timestamp", _cuts(path))
        if by_time
        else public_set.random_parts(path),
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
    return public_set.text_table([path], _options(path))


def _labels(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    ratings = text(batch, "rating").cast(pa.float64())
    least = {"like": 4.0, "love": 5.0}
    return {
        name: pc.greater_equal(ratings, low).cast(pa.int8()).cast(pa.float32())
        for name, low in least.items()
    }


def _cuts(path: Path) -> tuple[float, float]:
    """The times before which lie 80 and 90 % of the ratings."""
    batches = public_set.text_batches([path], _options(path), ["timestamp"])
    times = [text(batch, "timestamp").cast(pa.int64()).to_numpy() for batch in batches]
    ordered = np.sort(np.concatenate(times))
    low, high = (float(ordered[round(share * len(ordered))]) for share in (0.8, 0.9))
    return low, high
