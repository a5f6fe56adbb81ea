"""A small model with the same face as the package's, so that serving is tested on its own."""

import keras
import numpy as np

import rankup_keras as rk

USERS = [f"user{i}" for i in range(50)]
ITEMS = [f"item{i}" for i in range(80)]
GENRES = ["action", "comedy", "drama"]
HISTORY = 5


def make_features():
    """Raw columns of every kind, on both sides."""
    features = rk.FeatureSet(
        [
            rk.Categorical("user_id", vocabulary=USERS, side="user"),
            rk.Numeric("age", normalize=None, side="user"),
            rk.Categorical("city", num_ids=20, side="user"),
            rk.Categorical("interests", vocabulary=GENRES, max_length=3, side="user"),
            rk.History("history", of="item_id", max_length=HISTORY, side="user"),
            rk.Pretrained("user_vector", dim=3, side="user"),
            rk.Categorical("item_id", vocabulary=ITEMS, side="candidate"),
            rk.Categorical("shop", hash_buckets=30, side="candidate"),
            rk.Categorical("genres", vocabulary=GENRES, max_length=2),
            rk.Numeric("price", side="candidate"),
            rk.Pretrained("item_vector", dim=2),
        ]
    )
    features.adapt(make_rows(200, seed=99))
    return features


class StandInModel(keras.Model):
    """Functional, over the encoded columns; two tasks."""

    def __init__(self, features, seed=0):
        keras.utils.set_random_seed(seed)
        inputs = {
            name: keras.Input(shape, dtype=dtype, name=name)
            for name, (shape, dtype) in features.encoded_spec().items()
        }
        x = keras.layers.Flatten()(keras.layers.Embedding(200, 4)(inputs["encoded_ids"]))
        x = keras.layers.Concatenate()([x, inputs["encoded_numeric"], inputs["encoded_vectors"]])
        x = keras.layers.Dense(16, "relu", name="pooling")(x)
        outputs = {
            task: keras.layers.Dense(1, "sigmoid", name=task)(x) for task in ("click", "buy")
        }
        super().__init__(inputs=inputs, outputs=outputs, name="ranker")
        self.features = features


def make_model(seed=0):
    """A stand-in with random weights."""
    return StandInModel(make_features(), seed)


def make_rows(count, seed=0, history=HISTORY):
    """`count` rows of raw columns, with unknown ids and missing values among them."""
    rng = np.random.default_rng(seed)
    price = rng.normal(size=count).astype("float32")
    price[rng.random(count) < 0.2] = np.nan
    return {
        "user_id": rng.choice([*USERS, "stranger", ""], count).astype(object),
        "age": rng.uniform(18, 80, count).astype("float32") / 100,
        "city": rng.integers(-1, 20, count),
        "interests": rng.choice([*GENRES, "", "unheard of"], (count, 3)).astype(object),
        "history": rng.choice([*ITEMS, "gone", ""], (count, history)).astype(object),
        "user_vector": rng.normal(size=(count, 3)).astype("float32"),
        "item_id": rng.choice([*ITEMS, "a new item with a long name"], count).astype(object),
        "shop": rng.choice(["corner", "market", "größer"], count).astype(object),
        "genres": rng.choice([*GENRES, ""], (count, 2)).astype(object),
        "price": price,
        "item_vector": rng.normal(size=(count, 2)).astype("float32"),
    }


def candidates_of(rows):
    """Full rows as `rank` takes them: the first row's user with the candidates of all rows."""
    user = {"user_id", "age", "city", "interests", "history", "user_vector"}
    return {k: v[:1] if k in user else v for k, v in rows.items()}


def predict(model, rows):
    """What the model itself gives for raw rows."""
    encoded = model.features.encode(rows)
    return {k: np.asarray(v)[:, 0] for k, v in model(encoded, training=False).items()}


def make_small(seed=0, layer=None, more=()):
    """The least that can be exported, for tests that export often; `more` columns, if need be."""
    keras.utils.set_random_seed(seed)
    features = rk.FeatureSet(
        [
            rk.Categorical("user_id", hash_buckets=50, side="user"),
            *(rk.Categorical(name, hash_buckets=50) for name in ("item_id", *more)),
        ]
    )
    ids = keras.Input((2 + len(more),), dtype="int32", name="encoded_ids")
    x = keras.layers.Flatten()(keras.layers.Embedding(60, 4)(ids))
    if layer is not None:
        x = layer(x)
    model = keras.Model({"encoded_ids": ids}, {"click": keras.layers.Dense(1, "sigmoid")(x)})
    model.features = features
    return model


def small_rows(count):
    """Rows of the small model."""
    return {
        "user_id": np.array([f"user{i}" for i in range(count)], object),
        "item_id": np.array([f"item{i % 7}" for i in range(count)], object),
    }
