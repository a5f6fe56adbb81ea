"""Avazu's click-through rate set (Kaggle 2014)."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.joining import Derive, text
from rankup_keras.data.row_filters import Between, Share, Where
from rankup_keras.datasets.public_set import PublicSet, find, make_set
from rankup_keras.features import Categorical, FeatureSet

TERMS = "Avazu's click-through rate data: the rules of Kaggle's competition, for its use only."
CATEGORIES = [
    "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain",
    "app_category", "device_id", "device_ip", "device_model", "device_type", "device_conn_type",
    *(f"C{i}" for i in range(14, 22)),
]  # fmt: skip


def avazu(source: str | os.PathLike[str], split: str = "random", min_count: int = 5) -> PublicSet:
    """Avazu: CSV with a header, `id`, `click`, `hour` (YYMMDDHH) and 21 categories.

    Two columns are made: `hour_of_day` and `weekday`, 0 being Monday. `id` is
    left out, since every row has another one.

    Args:
        source: `train.csv` or `train` (`.gz` or plain), or its folder; Kaggle's
            `test` has no labels.
        split: `"random"` (default), 80, 10 and 10 % of the rows; or `"time"`,
            of the ten days the first eight, the ninth, the tenth.
        min_count: values seen less often share the unknown id. Defaults to 5.
    """
    if split not in ("random", "time"):
        raise ValueError(f'`split` must be "random" or "time". Received: split={split!r}.')
    place = Path(source).expanduser()
    path = [place if place.is_file() else find(place, "train.csv", "train")]
    names = [*CATEGORIES, "hour_of_day", "weekday"]
    features = FeatureSet([Categorical(n, dtype="string", min_count=min_count) for n in names])
    parts: list[tuple[list[Path], list[Where]]]
    if split == "time":
        parts = [
            (path, [Between("hour", None, 14102900)]),
            (path, [Between("hour", 14102900, 14103000)]),
            (path, [Between("hour", 14103000, None)]),
        ]
    else:
        shares = ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))
        parts = [(path, [Share(a, b)]) for a, b in shares]
    return make_set(features, ["click"], TERMS, parts, format="csv", transform=hours())


def hours() -> Derive:
    """`hour_of_day` and `weekday` of `hour`."""
    return Derive(
        ["hour"],
        {
            "hour_of_day": (pa.string(), lambda batch: pc.utf8_slice_codeunits(_hour(batch), 6, 8)),
            "weekday": (pa.string(), _weekday),
        },
        "hours of Avazu",
    )


def _hour(batch: pa.RecordBatch) -> pa.Array:
    return text(batch, "hour")


def _weekday(batch: pa.RecordBatch) -> pa.Array:
    days = pc.utf8_slice_codeunits(_hour(batch), 0, 6).dictionary_encode()
    names = []
    for day in days.dictionary.to_pylist():
        try:
            date = np.datetime64(f"20{day[:2]}-{day[2:4]}-{day[4:6]}", "D")
        except (ValueError, TypeError):
            names.append("")
        else:
            names.append(str((date.astype(int) + 3) % 7))  # 1970 began on a Thursday
    return pa.array(names, pa.string()).take(days.indices)
