"""Criteo's display advertising set (Kaggle 2014) and its terabyte logs."""

import os
from pathlib import Path

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.row_filters import Share
from rankup_keras.datasets.public_set import PublicSet, find, find_all, make_set
from rankup_keras.features import Categorical, FeatureSet, Numeric

TERMS = (
    "Criteo's display advertising data: Criteo's terms, research and no commercial use; see "
    "https://ailab.criteo.com/ressources/"
)
NUMBERS = [f"I{i}" for i in range(1, 14)]
CATEGORIES = [f"C{i}" for i in range(1, 27)]
COLUMNS = ["label", *NUMBERS, *CATEGORIES]


def criteo_features(hash_buckets: int | None = None, min_count: int = 10) -> FeatureSet:
    """13 counts, by their logarithm, and 26 categories."""
    categories = [
        Categorical(name, hash_buckets=hash_buckets)
        if hash_buckets
        else Categorical(name, dtype="string", min_count=min_count)
        for name in CATEGORIES
    ]
    return FeatureSet([*(Numeric(name, normalize="log") for name in NUMBERS), *categories])


def criteo(
    source: str | os.PathLike[str], hash_buckets: int | None = None, min_count: int = 10
) -> PublicSet:
    r"""Criteo: tab-separated lines without header, `label`, `I1`–`I13`, `C1`–`C26`.

    Of Kaggle's `train.txt` (its `test.txt` has no labels) a random 80 % of the
    rows train, 10 % validate, 10 % test. Of the terabyte logs, `day_0` to
    `day_23`, the last day is halved into rows to validate with and to test,
    and the others train.

    Args:
        source: `train.txt`, or the folder that has it or days, plain or `.gz`.
        hash_buckets: buckets to hash each category into, `None` (default) for
            vocabularies.
        min_count: values seen less often share the unknown id. Defaults to 10.
    """
    features = criteo_features(hash_buckets, min_count)
    settings = {"format": "tsv", "csv": CsvOptions(header=False, columns=COLUMNS)}
    place = Path(source).expanduser()
    if place.is_dir() and any(_is_day(path.name) for path in place.rglob("day_*")):
        days = sorted(find_all(place, _is_day, "named day_<number>"), key=_day)
        last, seed = [days[-1]], 0
        return make_set(
            features,
            ["label"],
            TERMS,
            [(days[:-1] or last, []), (last, [Share(0, 0.5, seed)]), (last, [Share(0.5, 1, seed)])],
            **settings,
        )
    path = [place if place.is_file() else find(place, "train.txt", "train.tsv")]
    parts = [(path, [Share(a, b)]) for a, b in ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))]
    return make_set(features, ["label"], TERMS, parts, **settings)


def _is_day(name: str) -> bool:
    return name.removesuffix(".gz").removeprefix("day_").isdigit() and name.startswith("day_")


def _day(path: Path) -> int:
    return int(path.name.removesuffix(".gz").removeprefix("day_"))
