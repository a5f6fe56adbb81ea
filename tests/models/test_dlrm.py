import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.models import small_rows


def make(features=None, **settings):
    features = features or small_rows.features()
    return rk.DLRM(features, ["click"], embedding_dim=4, **settings)


def test_the_top_network_reads_pairs_numbers_and_vectors():
    model = make()
    part = keras.Model(
        model.inputs,
        [
            *(model.get_layer(name).input for name in ("interaction", "top_1")),
            model.get_layer("bottom_2").output,
        ],
    )
    raw = small_rows.raw_rows()
    fields, top, bottom = (np.asarray(x) for x in part(model.encode(raw)))
    fields = fields.reshape(len(fields), -1, 4)
    # Five embedded features, and the numbers.
    assert fields.shape[1] == 6
    np.testing.assert_array_equal(fields[:, -1], bottom)
    pairs = [(fields[:, i] * fields[:, j]).sum(-1) for i in range(6) for j in range(i)]
    expected = [np.stack(pairs, 1), bottom, raw["user_vector"], raw["item_vector"]]
    np.testing.assert_allclose(top, np.concatenate(expected, 1), rtol=0, atol=1e-5)


def test_without_numbers_there_is_no_bottom_network():
    model = make(small_rows.features(with_numeric=False))
    assert not [layer for layer in model.layers if layer.name.startswith("bottom")]


def test_tables_must_be_equally_wide():
    with pytest.raises(ValueError, match=r"embedding_dim=4, widths \[4, 6\]"):
        make(small_rows.features(item_dim=6))


def test_config_round_trip():
    model = make(bottom_units=(5,), top_units=(3,), dropout=0.1, embedding_dropout=0.2)
    again = rk.DLRM.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]


@pytest.mark.parametrize("feature", [rk.Numeric("a"), rk.Categorical("a", num_ids=9)])
def test_a_single_vector_has_no_pair(feature):
    features = rk.FeatureSet([feature]).adapt({"a": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"products of pairs of vectors.*DCNv2 takes any features"):
        rk.DLRM(features, ["click"])
    assert rk.DCNv2(features, ["click"]).predict({"a": [1, 2]}, verbose=0)["click"].shape == (2, 1)
