"""Rows of every kind of feature, and tiny models of them."""

import keras
import numpy as np
import tensorflow as tf

import rankup_keras as rk

ROWS = 64


def make_rows(seed=0):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 9, ROWS), rng.integers(0, 7, ROWS)
    return {
        "user": [f"u{i}" for i in users],
        "item": items,
        "genres": [["x", "y", "z"][: i % 4] for i in range(ROWS)],
        "price": rng.normal(5.0, 2.0, ROWS).astype("float32"),
        "age": rng.normal(40.0, 9.0, ROWS).astype("float32"),
        "history": [rng.integers(0, 7, i % 6).tolist() for i in range(ROWS)],
        "user_vector": rng.normal(size=(ROWS, 4)).astype("float32"),
        "item_vector": rng.normal(size=(ROWS, 4)).astype("float32"),
    }


def make_labels(seed=1):
    rng = np.random.default_rng(seed)
    return {"click": rng.integers(0, 2, ROWS), "buy": rng.integers(0, 2, ROWS)}


def make_features():
    features = rk.FeatureSet(
        [
            rk.Categorical("user", hash_buckets=30),
            rk.Categorical("item"),
            rk.Categorical("genres", vocabulary=["x", "y"], max_length=2),
            rk.Numeric("price", normalize="log"),
            rk.Numeric("age"),
            rk.History("history", of="item", max_length=4),
            rk.Pretrained("user_vector", dim=4),
            rk.Pretrained("item_vector", dim=4),
        ]
    )
    return features.adapt(make_rows())


TASKS = [rk.Task("click"), rk.Task("buy", weight=2.0)]


def make_rankup(**kwargs):
    settings = {"embedding_dim": 4, "num_blocks": 2, "crosses": [("user_vector", "item_vector")]}
    keras.utils.set_random_seed(3)
    return rk.RankUp(make_features(), TASKS, **{"token_dim": 16, **settings, **kwargs})


def make_rankmixer(**kwargs):
    keras.utils.set_random_seed(3)
    settings = {"token_dim": 16, "num_tokens": 8, "embedding_dim": 4, "num_blocks": 1}
    return rk.RankMixer(make_features(), TASKS, **{**settings, **kwargs})


MAKERS = {"rankup": make_rankup, "rankmixer": make_rankmixer}


def as_dataset(columns, *more, batch=16):
    tensors = dict(columns)
    for name in ("genres", "history"):
        dtype = tf.string if name == "genres" else tf.int64
        tensors[name] = tf.ragged.constant(columns[name], dtype=dtype)
    elements = (tensors, *more) if more else tensors
    return tf.data.Dataset.from_tensor_slices(elements).batch(batch)


def strange_rows():
    """Unknown, missing and over-long values of every kind, as JSON could hold them."""
    nan = float("nan")
    return {
        "user": ["nobody", "", "u1"],
        "item": [99, -1, 3],
        "genres": [[], ["new"], ["x"] * 9],
        "price": [nan, 1e30, -5.0],
        "age": [nan, 0.0, 41.0],
        "history": [[], [99, -1], list(range(30))],
        "user_vector": [[nan] * 4, [0.0] * 4, [1.0, 2.0, 3.0, 4.0]],
        "item_vector": [[1.0] * 4, [0.0] * 4, [1.0, 2.0, 3.0, 4.0]],
    }
