"""What a SavedModel has to contain besides the variables that its endpoints use."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving import export, load_session
from rankup_keras.serving.exporting.writing import read_saved_model
from tests.serving import stand_in


class LookedUp(keras.layers.Layer):
    """Has a lookup table of TensorFlow's, which is not a variable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        keys = tf.lookup.KeyValueTensorInitializer(tf.constant([1], tf.int64), tf.constant([0.25]))
        self.table = tf.lookup.StaticHashTable(keys, 0.0)

    def call(self, x):
        return x * self.table.lookup(tf.cast(x > 0, tf.int64))

    def compute_output_shape(self, shape):
        return shape


class InAList(keras.layers.Layer):
    """Keeps its layers where TensorFlow's view of trackable objects does not find them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [[LookedUp()]]

    def call(self, x):
        return self.parts[0][0](x)

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("layer", [LookedUp, InAList])
def test_an_export_has_the_lookup_tables_of_its_layers(layer, tmp_path):
    small, rows = stand_in.make_small(), stand_in.small_rows(3)
    whole = keras.Model(small.input, {"click": layer()(small.output["click"])})
    whole.features = small.features
    path = export(whole, tmp_path / "m", warmup=rows, batch_sizes=(1,))
    with load_session(path) as session:
        got = session.run(rows)
    np.testing.assert_allclose(got["click"], stand_in.predict(small, rows)["click"] / 4, atol=1e-6)


def test_methods_are_what_a_server_checks(exported):
    definitions = read_saved_model(exported).meta_graphs[0].signature_def
    methods = {name: d.method_name.rpartition("/")[2] for name, d in definitions.items()}
    assert methods.pop("__saved_model_init_op") == ""
    assert methods == {
        "serving_default": "predict",
        "rank": "predict",
        "embed": "predict",
        "classify": "classify",
        "regress": "regress",
        "regress_buy": "regress",
    }
