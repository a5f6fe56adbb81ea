"""The part of a model behind its tables."""

import keras
import pytest
import tensorflow as tf

from rankup_keras.models.dense_part import dense_part
from tests.distribution.ahead_of_time.test_training_step import make_model


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
