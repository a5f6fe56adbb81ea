"""The data sets of `benchmarks.quality`, under one protocol.

`numpy.random.RandomState(seed).permutation` over the rows; 80 % to train on, 10 % to stop by, 10 %
to test on. Categorical fields alone, as strings (and pretrained vectors where asked for); a value
is known if it occurs in the training rows, all others share one id.
"""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.data import random_split
from rankup_keras.datasets import movielens_100k, movielens_features
from rankup_keras.features import Feature
from rankup_keras.layers.embeddings import PretrainedVectors

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
VARIABLE = "RANKUP_KERAS_BENCHMARK_DATA"


@dataclasses.dataclass
class Table:
    """Rows of one data set and how it is trained on."""

    columns: dict[str, np.ndarray]
    labels: np.ndarray
    task: str
    batch_size: int
    patience: int


@dataclasses.dataclass
class Part:
    """Encoded rows and their labels."""

    rows: dict[str, np.ndarray]
    labels: np.ndarray

    def batches(self, task: str, batch_size: int, seed: int) -> tf.data.Dataset:
        """Epochs in batches, each in an order of its own."""
        # Keras gives arrays in one order every epoch where a seed is set, and tf.data's autotuner
        # can hold up the end of every epoch by as long as it has taken.
        count = len(self.labels)
        rows = {name: tf.constant(values) for name, values in self.rows.items()}
        labels = tf.constant(self.labels[:, None])

        def order(epoch: tf.Tensor) -> tf.data.Dataset:
            indices = tf.random.experimental.stateless_shuffle(
                tf.range(count), tf.stack([epoch, epoch])
            )
            return tf.data.Dataset.from_tensor_slices(indices).batch(batch_size)

        def take(indices: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
            taken = {name: tf.gather(values, indices) for name, values in rows.items()}
            return taken, {task: tf.gather(labels, indices)}

        options = tf.data.Options()
        options.autotune.enabled = False
        epochs = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        batches = epochs.flat_map(order).map(take).prefetch(2).with_options(options)
        return batches.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))


@dataclasses.dataclass
class Problem:
    """One data set, split and encoded."""

    features: rk.FeatureSet
    train: Part
    valid: Part
    test: Part
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
    """One of `DATASETS`; the Parquet files lie in `folder`, or where `VARIABLE` says."""
    folder = folder or pathlib.Path(os.environ.get(VARIABLE, DATA))
    if name == "movielens":
        return movielens()
    if name == "frappe":
        return frappe(folder)
    return book_crossing(folder)


DATASETS = ("movielens", "frappe", "book_crossing", "movielens_full")
VECTORS = ("user_vector", "item_vector")


def problem(
    name: str, seed: int, folder: pathlib.Path | None = None, crossed: bool = False
) -> Problem:
    """A data set split and encoded for one seed; `crossed` adds MovieLens's `VECTORS`."""
    if name == "movielens_full":
        return _with_histories(seed)
    table = load(name, folder)
    columns: list[Feature] = [rk.Categorical(column) for column in table.columns]
    if crossed:
        vectors = _vectors(table, seed)
        columns += [rk.Pretrained(name, values.shape[1]) for name, values in vectors.items()]
        table.columns |= vectors
    features = rk.FeatureSet(columns)
    indices = random_split(len(table.labels), seed)
    raw = [{k: v[index] for k, v in table.columns.items()} for index in indices]
    features.adapt(raw[0])
    parts = [
        Part(features.encode(rows), table.labels[index])
        for rows, index in zip(raw, indices, strict=True)
    ]
    return Problem(features, *parts, table.task, table.batch_size, table.patience)


def _vectors(table: Table, seed: int) -> dict[str, np.ndarray]:
    """The vectors of each row's user and item, by towers that saw the training rows alone."""
    from benchmarks.crossed import crossed_vectors

    files = crossed_vectors(seed, table=table)
    ids = (table.columns["user_id"], table.columns["item_id"])
    return {
        name: PretrainedVectors.read(file, name).lookup(values)
        for name, file, values in zip(VECTORS, files, ids, strict=True)
    }


def _with_histories(seed: int) -> Problem:
    """MovieLens with its histories and numeric columns, which the protocol leaves out."""
    data = movielens_100k(seed=seed, verbose=False)
    features = movielens_features().adapt(data.train)
    parts = [
        Part(features.encode(part.columns), part.labels["like"])
        for part in (data.train, data.valid, data.test)
    ]
    return Problem(features, *parts, "like", 1024, 3)
