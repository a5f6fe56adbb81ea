"""The data sets of `benchmarks.quality`, split and encoded under one protocol.

`numpy.random.RandomState(seed).permutation` over the rows; 80 % to train on, 10 % to stop by, 10 %
to test on. Categorical fields alone, as strings (and pretrained vectors where asked for); a value
is known if it occurs in the training rows, all others share one id.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

import rankup_keras as rk
from benchmarks.crossed import VECTORS, crossed_vectors
from benchmarks.quality_tables import TABLES, Table, load
from rankup_keras.data import random_split
from rankup_keras.datasets import movielens_100k, movielens_features
from rankup_keras.features import Feature
from rankup_keras.layers.embeddings import PretrainedVectors


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


DATASETS = (*TABLES, "movielens_full")


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
