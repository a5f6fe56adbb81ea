"""The public data sets of `benchmarks.quality` as raw columns: categorical fields as strings."""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rankup_keras.data import random_split
from rankup_keras.datasets import movielens_100k

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
VARIABLE = "RANKUP_KERAS_BENCHMARK_DATA"
TABLES = ("movielens", "frappe", "book_crossing")


@dataclasses.dataclass
class Table:
    """Rows of one data set and how it is trained on."""

    columns: dict[str, np.ndarray]
    labels: np.ndarray
    task: str
    batch_size: int
    patience: int


def strings(values: Any) -> np.ndarray:
    return np.array(["" if v is None or v != v else str(v) for v in values])


def movielens() -> Table:
    # The split by this file's own order is made below, for every data set alike.
    data = movielens_100k(history=0, verbose=False)
    parts = (data.train, data.valid, data.test)
    order = np.concatenate(random_split(sum(part.num_rows for part in parts)))
    place = np.argsort(order)

    def column(name: str) -> np.ndarray:
        return np.concatenate([part.columns[name] for part in parts])[place]

    genres = column("genres")
    columns = {
        "user_id": column("user_id"),
        "item_id": column("item_id"),
        "age": column("age").astype(int).astype(str),
        "gender": column("gender"),
        "occupation": column("occupation"),
        "zip3": column("zip3"),
        "release_year": column("release_year"),
        "genre_1": genres[:, 0],
        "genre_2": genres[:, 1],
    }
    labels = np.concatenate([part.labels["like"] for part in parts])[place]
    return Table(columns, labels, "like", 1024, 2)


def frappe(folder: pathlib.Path) -> Table:
    table = pq.read_table(folder / "frappe.parquet")
    names = [n for n in table.column_names if n not in ("label_used", "split")]
    columns = {name: strings(table[name].to_pylist()) for name in names}
    # With a patience of 2 some seeds stop on a plateau.
    return Table(columns, np.array(table["label_used"], np.float32), "used", 1024, 8)


def book_crossing(folder: pathlib.Path) -> Table:
    table = pq.read_table(folder / "book_crossing.parquet").to_pydict()
    columns = {
        "user": strings(table["user"]),
        "item": strings(table["item"]),
        "country": strings([(v or "").split(",")[-1].strip() for v in table["Location"]]),
        "age": strings([None if v is None else v // 5 for v in table["Age"]]),
        "author": strings(table["Book-Author"]),
        "year": strings(table["Year-Of-Publication"]),
        "publisher": strings(table["Publisher"]),
    }
    return Table(columns, np.array(table["label_like"], np.float32), "like", 4096, 2)


def load(name: str, folder: pathlib.Path | None) -> Table:
    """One of `TABLES`; the Parquet files lie in `folder`, or where `VARIABLE` says."""
    folder = folder or pathlib.Path(os.environ.get(VARIABLE, DATA))
    if name == "movielens":
        return movielens()
    if name == "frappe":
        return frappe(folder)
    return book_crossing(folder)
