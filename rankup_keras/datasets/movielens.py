"""MovieLens-100k as rows with attributes, histories and two tasks."""

import os
from typing import Literal

import numpy as np

from rankup_keras.data.point_in_time import earlier_items, earlier_statistics
from rankup_keras.data.rows import Rows
from rankup_keras.data.splits import Splits, random_split, time_split
from rankup_keras.datasets.movielens_files import Item, Tables, User
from rankup_keras.datasets.movielens_sources import load_tables
from rankup_keras.features import Categorical, FeatureSet, History, Numeric

TERMS = """\
MovieLens-100k comes from GroupLens Research, University of Minnesota. Its terms: research use, no
redistribution, no commercial use without permission, and acknowledgement by citing F. M. Harper and
J. A. Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015,
https://doi.org/10.1145/2827872. See https://files.grouplens.org/datasets/movielens/ml-100k-README.txt"""

WEEKDAYS = np.array(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])


def movielens_100k(
    split: Literal["random", "time"] = "random",
    seed: int = 0,
    history: int = 20,
    source: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    verbose: bool = True,
) -> Splits:
    """MovieLens-100k: 100,000 ratings of 1,682 films by 943 users, as two tasks.

    Labels are `like` (rating of 4 or 5) and `love` (rating of 5). The columns,
    each an array (n,), or (n, width) where more than one value is meant:

    - `user_id`, `gender`, `occupation`, `zip_code`, `zip3` (its first three
      characters): strings; `age`: float32, years.
    - `item_id`, `movie_title`, `release_year` (`""` if unknown): strings;
      `genres`: strings (n, 6), `""` behind the last.
    - `timestamp`: int64, seconds since 1970; `hour` (`"0"` to `"23"`) and
      `weekday` (`"Mon"` to `"Sun"`) of it, in UTC: strings.
    - `history`: strings (n, `history`), the items that the user rated last
      before this row, oldest first, `""` behind the newest.
    - `user_count`, `user_mean`, `item_count`, `item_mean`: float32, how many
      ratings this user gave, or this item got, before this row, and their
      mean, NaN if there were none.

    No column knows what it should not: an earlier row is one with a strictly
    smaller timestamp; counts and means are of training rows only, so that no
    rating of a validation or test row is in any column. Histories carry ids
    and no ratings, and hold earlier rows of every split: at serving time it
    is known what a user rated up to now.

    The files are looked for in this order: `source`, or the path in the
    environment variable `RANKUP_KERAS_ML100K`; the cache; GroupLens's
    address; the wheel of RecBole on the package index. Their content is
    checked by SHA-256. GroupLens's terms are printed: research use, no
    redistribution, acknowledgement.

    Args:
        split: `"random"`, by `numpy.random.RandomState(seed).permutation`
            over the file's rows; or `"time"`, the oldest 80 % to train on and
            the newest 10 % to test.
        seed: seed of the random split.
        history: length of the history; 0 leaves it out.
        source: folder or archive with GroupLens's files (`u.data`, `u.user`,
            `u.item`) or RecBole's (`ml-100k.inter`, `.user`, `.item`).
        cache_dir: folder for the cache. Defaults to one of the user's cache
            folders, see `KERAS_HOME` and `XDG_CACHE_HOME`.
        verbose: print the terms and where the data comes from.

    Returns:
        `Splits` of 80,000, 10,000 and 10,000 `Rows`.

    Raises:
        FileNotFoundError: `source` is not there, or lacks a file.
        ValueError: an argument or the content of `source` is not right.
        RuntimeError: the data could be had in none of these ways.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.movielens_100k(verbose=False)
    features = rk.datasets.movielens_features().adapt(data.train)
    model = rk.DLRM(features, ["like"], embedding_dim=4, bottom_units=(4,), top_units=(4,))
    model.compile()
    model.fit(*data.train, validation_data=data.valid, verbose=0)
    ```

    References:
        - Harper and Konstan, "The MovieLens Datasets: History and Context", ACM
          TiiS 5(4), 2015.
    """
    if split not in ("random", "time"):
        raise ValueError(f'`split` must be "random" or "time". Received: split={split!r}')
    if history < 0:
        raise ValueError(f"`history` must not be negative. Received: history={history}")

    def say(line: str) -> None:
        if verbose:
            print(line, flush=True)

    say(TERMS)
    return make_splits(load_tables(source, cache_dir, say), split, seed, history)


def movielens_features() -> FeatureSet:
    """Features of the columns that `movielens_100k` gives; call `adapt` before use.

    Left out are the zip code, which nearly identifies the user, and the counts
    and means of earlier ratings, whose distribution drifts: both lowered the
    AUC on later validation rows.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.datasets.movielens_features()
    assert features["history"].of == "item_id"
    ```
    """
    return FeatureSet(
        [
            Categorical("user_id", side="user"),
            Numeric("age", side="user"),
            Categorical("gender", side="user"),
            Categorical("occupation", side="user"),
            History("history", of="item_id", max_length=20, side="user"),
            Categorical("item_id", side="candidate"),
            Categorical("release_year", side="candidate"),
            Categorical("genres", max_length=6, side="candidate"),
        ]
    )


def make_splits(tables: Tables, split: str, seed: int, history: int) -> Splits:
    """Joins the tables, splits the rows, and adds what earlier rows tell."""
    users, items, ratings, times = tables.ratings.T
    if split == "random":
        indices = random_split(len(ratings), seed)
    else:
        indices = time_split(times)

    columns = _joined(tables)
    if history:
        columns["history"] = earlier_items(users, times, columns["item_id"], history)
    training = np.zeros(len(ratings), dtype=bool)
    training[indices[0]] = True
    for name, groups in (("user", users), ("item", items)):
        count, mean = earlier_statistics(groups, times, ratings, counted=training)
        columns[f"{name}_count"], columns[f"{name}_mean"] = count, mean

    labels = {
        "like": (ratings >= 4).astype(np.float32),
        "love": (ratings == 5).astype(np.float32),
    }
    every_row = Rows(columns, labels)
    return Splits(*(every_row.select(index) for index in indices))


def _joined(tables: Tables) -> dict[str, np.ndarray]:
    """Every rating with its user's and its item's attributes."""
    users, items, _, times = tables.ratings.T
    columns = {}
    for ids, table, fields in (
        (users, tables.users, User._fields),
        (items, tables.items, Item._fields),
    ):
        table_ids = table[:, 0].astype(np.int64)
        order = np.argsort(table_ids)
        place = order[np.searchsorted(table_ids, ids, sorter=order)]
        for number, name in enumerate(fields):
            # A table's columns share the width of its widest: narrow each to its own.
            column = np.array(table[:, number].tolist(), dtype=str)
            columns[name] = (_padded(column) if name == "genres" else column)[place]
    columns["age"] = columns["age"].astype(np.float32)
    columns["zip3"] = columns["zip_code"].astype("<U3")
    columns["timestamp"] = times.copy()
    columns["hour"] = (times // 3600 % 24).astype("<U2")
    columns["weekday"] = WEEKDAYS[(times // 86400 + 3) % 7]  # 1970 began on a Thursday
    return columns


def _padded(joined: np.ndarray) -> np.ndarray:
    lists = [value.split("|") for value in joined]
    width = max(map(len, lists), default=0)
    return np.array([values + [""] * (width - len(values)) for values in lists], dtype=str)
