"""A small model with the same face as the package's, so that serving is tested on its own."""

import keras
import numpy as np
import tensorflow as tf

USERS = [f"user{i}" for i in range(50)]
ITEMS = [f"item{i}" for i in range(80)]
GENRES = ["action", "comedy", "drama"]
HISTORY = 5


class StandInFeatures(keras.layers.Layer):
    """Raw columns of each kind to packed ids and numbers."""

    def __init__(self):
        super().__init__(name="features")
        self.users = keras.layers.StringLookup(vocabulary=USERS)
        self.items = keras.layers.StringLookup(vocabulary=ITEMS, mask_token="")
        self.genres = keras.layers.StringLookup(vocabulary=GENRES, mask_token="")
        self.built = True

    def raw_spec(self):
        return {
            "user_id": tf.TensorSpec((None,), tf.string),
            "age": tf.TensorSpec((None,), tf.int64),
            "history": tf.TensorSpec((None, None), tf.string),
            "item_id": tf.TensorSpec((None,), tf.string),
            "genres": tf.TensorSpec((None, None), tf.string),
            "price": tf.TensorSpec((None,), tf.float32),
            "vector": tf.TensorSpec((None, 3), tf.float32),
        }

    def call(self, raw):
        raw = {k: tf.convert_to_tensor(v) for k, v in raw.items()}
        for name, spec in self.raw_spec().items():
            tf.debugging.assert_rank(raw[name], spec.shape.rank, message=f"column {name!r}")

        def fit(x, width, pad):
            x = x[:, :width]
            return tf.reshape(
                tf.pad(x, [[0, 0], [0, width - tf.shape(x)[1]]], constant_values=pad), (-1, width)
            )

        ids = [
            self.users(raw["user_id"])[:, None],
            self.items(raw["item_id"])[:, None],
            self.genres(fit(raw["genres"], 2, "")),
            self.items(fit(raw["history"], HISTORY, "")),
        ]
        price = raw["price"]
        missing = tf.math.is_nan(price)
        numbers = [
            tf.cast(raw["age"], tf.float32)[:, None] / 100,
            tf.where(missing, 0.0, price)[:, None],
            tf.cast(missing, tf.float32)[:, None],
            raw["vector"],
        ]
        return {
            "encoded_ids": tf.cast(tf.concat(ids, 1), tf.int32),
            "encoded_numeric": tf.concat(numbers, 1),
        }


class StandInModel(keras.Model):
    """Functional, over the encoded columns; two tasks."""

    def __init__(self, features, seed=0):
        keras.utils.set_random_seed(seed)
        ids = keras.Input((4 + HISTORY,), dtype="int32", name="encoded_ids")
        numeric = keras.Input((6,), dtype="float32", name="encoded_numeric")
        x = keras.layers.Flatten()(keras.layers.Embedding(200, 4, name="table")(ids))
        x = keras.layers.Concatenate()([x, numeric])
        x = keras.layers.Dense(16, "relu", name="pooled")(x)
        outputs = {
            task: keras.layers.Dense(1, "sigmoid", name=task)(x) for task in ("click", "buy")
        }
        super().__init__(
            inputs={"encoded_ids": ids, "encoded_numeric": numeric}, outputs=outputs, name="ranker"
        )
        self.features = features


def make_model(seed=0):
    """A stand-in with random weights."""
    return StandInModel(StandInFeatures(), seed)


def make_rows(count, seed=0, history=HISTORY):
    """`count` rows of raw columns, with unknown ids and missing numbers among them."""
    rng = np.random.default_rng(seed)
    price = rng.normal(size=count).astype("float32")
    price[rng.random(count) < 0.2] = np.nan
    return {
        "user_id": rng.choice([*USERS, "stranger"], count).astype(object),
        "age": rng.integers(18, 80, count),
        "history": rng.choice([*ITEMS, "gone"], (count, history)).astype(object),
        "item_id": rng.choice([*ITEMS, "a new item with a long name"], count).astype(object),
        "genres": rng.choice([*GENRES, "", "unheard of"], (count, 2)).astype(object),
        "price": price,
        "vector": rng.normal(size=(count, 3)).astype("float32"),
    }


def predict(model, rows):
    """What the model itself gives for raw rows."""
    rows = {k: tf.constant(v if v.dtype != object else v.tolist()) for k, v in rows.items()}
    return {k: v.numpy() for k, v in model(model.features(rows), training=False).items()}
