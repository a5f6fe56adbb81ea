"""Small networks whose activations are watched in the tests."""

import keras
import numpy as np
from keras import layers, ops

TOKENS, WIDTH, IDS = 4, 8, 50


@keras.saving.register_keras_serializable("tests")
class Mixing(layers.Layer):
    """Token mixing with its residual, as RankMixer has it."""

    def call(self, x):
        heads = ops.reshape(x, (-1, TOKENS, TOKENS, WIDTH // TOKENS))
        return x + ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (-1, TOKENS, WIDTH))


@keras.saving.register_keras_serializable("tests")
class Tied(layers.Layer):
    """Makes every token the mean token: a collapse."""

    def call(self, x):
        return ops.ones_like(x) * ops.mean(x, axis=1, keepdims=True)


@keras.saving.register_keras_serializable("tests")
class Silenced(layers.Layer):
    """Sets chosen tokens to a value that no sample changes."""

    def __init__(self, tokens, value, **kwargs):
        super().__init__(**kwargs)
        self.tokens, self.value = list(tokens), value

    def call(self, x):
        gone = np.isin(np.arange(TOKENS), self.tokens)[:, None]
        return ops.where(gone, ops.full_like(x, self.value), x)

    def get_config(self):
        return {**super().get_config(), "tokens": self.tokens, "value": self.value}


def token_network(after=None, compile_model=True):
    """A two-block token mixer whose layers carry the names that the taps look for.

    `after` maps a layer's name to a layer that takes over its name.
    """
    after = after or {}

    def named(name, make, x):
        x = make(f"{name}_inner" if name in after else name)(x)
        if name in after:
            x = after[name](name)(x)
        return x

    inputs = {"ids": keras.Input((TOKENS,), dtype="int32", name="ids")}
    x = layers.Embedding(IDS, WIDTH, name="item")(inputs["ids"])
    x = named("tokens", lambda name: layers.Dense(WIDTH, name=name), x)
    for block in (1, 2):
        x = named(f"block_{block}_mixer", lambda name: Mixing(name=name), x)
        x = named(f"block_{block}_ffn", lambda name: layers.Dense(WIDTH, "gelu", name=name), x)
    y = layers.Dense(1, "sigmoid", name="y")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, {"click": y}, name="network")
    if compile_model:
        # Four small batches an epoch take less time than compiling them.
        model.compile("adam", "binary_crossentropy", run_eagerly=True)
    return model


def transformer(length=6, width=16):
    """A foreign model: a small Keras Transformer over token ids."""
    ids = keras.Input((length,), dtype="int32")
    x = layers.Embedding(IDS, width, name="words")(ids)
    x = layers.Dropout(0.1, name="drop")(x)
    attended = layers.MultiHeadAttention(2, width // 2, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm_1")(layers.Add(name="add_1")([x, attended]))
    hidden = layers.Dense(2 * width, "relu", name="hidden")(x)
    x = layers.Add(name="add_2")([x, layers.Dense(width, name="out")(hidden)])
    x = layers.LayerNormalization(name="norm_2")(x)
    y = layers.Dense(1, "sigmoid", name="y")(layers.Flatten(name="flat")(x))
    model = keras.Model(ids, y, name="transformer")
    model.compile("adam", "binary_crossentropy")
    return model


def rows(count=64, length=TOKENS, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, IDS, (count, length)).astype("int32")
    return ids, (ids.sum(axis=1) % 3 == 0).astype("float32")[:, None]


def column_rows(count=64, seed=0):
    ids, labels = rows(count, seed=seed)
    return {"ids": ids}, {"click": labels}
