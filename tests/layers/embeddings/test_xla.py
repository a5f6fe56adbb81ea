"""Lookups and row-sparse updates inside a step that XLA compiles."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.optimizers import Split

ROWS, WIDTH = 40, 4


def field_embedding(validate):
    fields = [FieldSpec(f"f{i}", "t", i) for i in range(3)]
    return FieldEmbedding([TableSpec("t", ROWS)], fields, WIDTH, validate=validate, name="fields")


class OwnTable(keras.layers.Layer):
    """A user's own layer with a row-sparse table."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=(ROWS, WIDTH), initializer="zeros")
        self.table.row_sparse = True

    def call(self, ids):
        return tf.gather(self.table.value, ids)


def test_the_check_of_ids_is_refused_in_one_sentence():
    layer = field_embedding(validate=True)
    ids = tf.constant([[1, 2, 3]])
    layer(ids)
    with pytest.raises(ValueError, match=r"XLA has no strings.*`validate=False`"):
        tf.function(layer, jit_compile=True)(ids)


def test_without_the_check_the_lookup_compiles():
    layer = field_embedding(validate=False)
    ids = tf.constant([[1, 2, 3], [0, 0, 39]])
    compiled = tf.function(layer, jit_compile=True)(ids)["shared"]
    np.testing.assert_array_equal(compiled, layer(ids)["shared"])


def test_keras_is_told_not_to_compile_a_model_with_tables():
    ids = keras.Input((3,), dtype="int32")
    outputs = keras.layers.Dense(1)(field_embedding(validate=True)(ids)["shared"])
    model = keras.Model(ids, outputs)
    model.compile(Split(), "mse")
    model.fit(np.ones((4, 3), np.int32), np.ones((4, 1)), verbose=0)
    assert not model.jit_compile


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "row_wise_adagrad", "ftrl", "lazy_adam"])
def test_a_compiled_step_trains_the_table_of_an_own_layer_alike(optimizer):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, ROWS // 2, (32, 3)).astype(np.int32)
    labels = rng.random((32, 1)).astype(np.float32)
    tables = []
    for compiled in (False, True):
        inputs = keras.Input((3,), dtype="int32")
        layer = OwnTable()
        kernel = keras.initializers.RandomUniform(seed=1)
        dense = keras.layers.Dense(1, kernel_initializer=kernel)
        model = keras.Model(inputs, dense(keras.layers.Flatten()(layer(inputs))))
        model.compile(Split(optimizer, "sgd"), "mse", jit_compile=compiled)
        model.fit(ids, labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
        tables.append(layer.table.numpy())
    assert np.abs(tables[0][: ROWS // 2]).max() > 0
    np.testing.assert_array_equal(tables[0][ROWS // 2 :], 0)
    np.testing.assert_allclose(tables[1], tables[0], atol=1e-6)
