"""Criteo's display advertising set (Kaggle 2014) and its terabyte logs."""

from pathlib import Path

from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.row_filters import Share
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import Part, PublicSet, Source
from rankup_keras.features import Categorical, FeatureSet, Numeric

TERMS = (
    "Criteo's display advertising data: Criteo's terms, research and no commercial use; see "
    "https://ailab.criteo.com/ressources/"
)
NUMBERS = [f"I{i}" for i in range(1, 14)]
CATEGORIES = [f"C{i}" for i in range(1, 27)]


def criteo(source: Source, hash_buckets: int | None = None, min_count: int = 10) -> PublicSet:
    r"""Criteo: tab-separated lines without header, `label`, `I1`–`I13`, `C1`–`C26`.

    Of Kaggle's `train.txt` (its `test.txt` has no labels) a random 80 % of the
    rows train, 10 % validate, 10 % test. Of the terabyte logs, `day_0` to
    `day_23`, a random half of the last day validates, the other half tests,
    and the other days train.

    Args:
        source: `train.txt`, or the folder that has it or days, plain or `.gz`.
        hash_buckets: buckets to hash each category into, `None` (default) for
            vocabularies.
        min_count: values seen less often share the unknown id. Defaults to 10.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.criteo("train.txt", hash_buckets=1000)
    data.adapt()
    columns, labels = next(iter(data.train.dataset(16)))
    ```
    """
    features = FeatureSet(
        [
            *(Numeric(name, normalize="log") for name in NUMBERS),
            *(
                Categorical(n, dtype="string", hash_buckets=hash_buckets, min_count=min_count)
                for n in CATEGORIES
            ),
        ]
    )
    place = Path(source).expanduser()
    if place.is_dir() and any(_is_day(path.name) for path in place.rglob("day_*")):
        days = sorted(public_set.find_all(place, _is_day, "named day_<number>"), key=_day)
        last = [days[-1]]
        parts: list[Part] = [
            (days[:-1] or last, []), (last, [Share(0, 0.5)]), (last, [Share(0.5, 1)]),
        ]  # fmt: skip
    else:
        parts = public_set.random_parts(public_set.file_or_find(place, "train.txt", "train.tsv"))
    options = CsvOptions(header=False, columns=["label", *NUMBERS, *CATEGORIES])
    return public_set.make_set(features, ["label"], TERMS, parts, format="tsv", csv=options)


def _is_day(name: str) -> bool:
    return name.removesuffix(".gz").removeprefix("day_").isdigit() and name.startswith("day_")


def _day(path: Path) -> int:
    return int(path.name.removesuffix(".gz").removeprefix("day_"))
