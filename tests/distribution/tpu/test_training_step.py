"""The part of a model behind its tables, and its training step as XLA takes it."""

import keras
import pytest
import tensorflow as tf

from rankup_keras import Categorical, FeatureSet, History, Numeric, RankMixer, optimizers
from rankup_keras.distribution.tpu.training_step import RefusedOpsError, lower
from rankup_keras.models.dense_part import dense_part


def make_model(**arguments):
    features = FeatureSet(
        [
            Categorical("item", hash_buckets=50, embedding_dim=8),
            Categorical("user", hash_buckets=50, embedding_dim=8),
            History("history", of="item", max_length=3),
            Numeric("price", normalize=None),
        ]
    )
    model = RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1, **arguments)
    model.compile(optimizers.Split("adagrad", "adam"))
    return model


def test_what_stands_behind_the_tables_computes_the_same():
    model = make_model()
    part = dense_part(model)
    assert part.tables == ["embeddings"]
    rows = {
        "item": ["a", "b"],
        "user": ["c", "d"],
        "history": [["a", "b", "c"], ["b", "", ""]],
        "price": [1.0, 2.0],
    }
    encoded = model.encode({name: tf.constant(values) for name, values in rows.items()})
    vectors = keras.tree.flatten(model.get_layer("embeddings")(encoded["encoded_ids"]))
    assert part.vectors == len(vectors) == 2
    rest = [tf.constant(encoded[tensor.name]) for tensor in part.network.inputs[part.vectors :]]
    # The ids are still read: they say where a sequence ends.
    assert len(rest) == 2
    found = part.network([*vectors, *rest])["click"]
    expected = model(encoded)["click"]
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    names = {weight.path for weight in part.network.trainable_variables}
    assert len(names) == len(model.trainable_variables) - 1


def test_a_model_without_tables_is_taken_whole():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    part = dense_part(model)
    assert part.network is model
    assert (part.vectors, part.tables) == (0, [])


def test_the_step_is_lowered_with_its_update():
    model = make_model(dtype="mixed_bfloat16")
    hlo = lower(model, dense_part(model), 16)
    # Adam's kernel, the products in bfloat16 and one module.
    assert len(hlo) > 10_000
    assert model.optimizer.iterations.numpy() == 0


class Words(keras.layers.Layer):
    def call(self, x):
        return x * tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)


def test_ops_that_a_tpu_refuses_are_named():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(Words()(x)))
    model.compile("adam", "mse")
    with pytest.raises(RefusedOpsError, match="AsString") as caught:
        lower(model, dense_part(model), 8)
    assert caught.value.ops == ["AsString"]
