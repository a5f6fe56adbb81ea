"""Avazu's click-through rate set (Kaggle 2014)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.transforms import Derive, text
from rankup_keras.datasets import public_set
from rankup_keras.datasets.public_set import PublicSet, Source
from rankup_keras.features import Categorical, FeatureSet

TERMS = "Avazu's click-through rate data: the rules of Kaggle's competition, for its use only."
CATEGORIES = [
    "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain",
    "app_category", "device_id", "device_ip", "device_model", "device_type", "device_conn_type",
    *(f"C{i}" for i in range(14, 22)),
]  # fmt: skip


def avazu(source: Source, split: str = "random", min_count: int = 5) -> PublicSet:
    """Avazu: CSV with a header, `id`, `click`, `hour` (YYMMDDHH) and 21 categories.

    Two columns are made: `hour_of_day` and `weekday`, 0 being Monday. `id` is
    left out, since it is unique in every row.

    Args:
        source: `train.csv` or `train` (`.gz` or plain), or its folder; Kaggle's
            `test` has no labels.
        split: `"random"` (default), 80, 10 and 10 % of the rows; or `"time"`,
            of the ten days the first eight, the ninth, the tenth.
        min_count: values seen less often share the unknown id. Defaults to 5.

    Example:

    ```python
    import rankup_keras as rk

    data = rk.datasets.avazu("train.csv", split="time", min_count=2)
    data.adapt()
    columns, labels = next(iter(data.train.dataset(16)))
    ```
    """
    public_set.check_split(split)
    path = public_set.file_or_find(source, "train.csv", "train")
    names = [*CATEGORIES, "hour_of_day", "weekday"]
    features = FeatureSet([Categorical(n, dtype="string", min_count=min_count) for n in names])
    cuts = (14102900, 14103000)
    parts = (
        public_set.time_parts(path, "hour", cuts)
        if split == "time"
        else public_set.random_parts(path)
    )
    types = {"hour_of_day": pa.string(), "weekday": pa.string()}
    hours = Derive("hours of Avazu", ["hour"], types, _hours)
    return public_set.make_set(features, ["click"], TERMS, parts, format="csv", transform=hours)


def _hours(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    hour = text(batch, "hour")
    days = pc.utf8_slice_codeunits(hour, 0, 6).dictionary_encode()
    names = []
    for day in days.dictionary.to_pylist():
        try:
            date = np.datetime64(f"20{day[:2]}-{day[2:4]}-{day[4:6]}", "D")
        except (ValueError, TypeError):
            names.append("")
        else:
            names.append(str((date.astype(int) + 3) % 7))  # 1970 began on a Thursday
    weekday = pa.array(names, pa.string()).take(days.indices)
    return {"hour_of_day": pc.utf8_slice_codeunits(hour, 6, 8), "weekday": weekday}
