import keras
import numpy as np

import rankup_keras as rk
from tests.models import small_rows
from tests.reference.attention import cross_network


def make(**settings):
    return rk.DCNv2(small_rows.features(), ["click"], embedding_dim=4, **settings)


def test_cross_layers_and_deep_network_stand_side_by_side():
    model = make(hidden_units=[6])
    crosses = [model.get_layer(f"cross_{i}") for i in (1, 2)]
    part = keras.Model(
        model.inputs,
        [crosses[0].input[0], model.get_layer("deep_1").output, model.get_layer("pooling").output],
    )
    base, deep, pooled = (np.asarray(x) for x in part(model.encode(small_rows.raw_rows())))
    kernels, biases = ([np.asarray(cross.weights[i]) for cross in crosses] for i in (0, 1))
    expected = np.concatenate([cross_network(base, kernels, biases), deep], axis=1)
    np.testing.assert_allclose(pooled, expected, rtol=0, atol=1e-5)


def test_config_round_trip():
    model = make(cross_rank=2, num_crosses=1, hidden_units=(5,), dropout=0.1, embedding_dropout=0.2)
    names = [layer.name for layer in model.layers]
    assert "embedding_dropout" in names
    again = rk.DCNv2.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]
