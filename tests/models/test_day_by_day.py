"""A day's step is growth, a new model and a warm start."""

import keras
import numpy as np
import pytest

import rankup_keras as rk

MONDAY = {"ad": ["a", "b", "a", "c"], "user": ["x", "y", "y", "x"], "click": [0, 1, 0, 1]}
TUESDAY = {"ad": ["b", "d"], "user": ["x", "z"], "click": [1, 0]}


@pytest.fixture(scope="module")
def old():
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(MONDAY)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    model.compile(loss="binary_crossentropy")
    model.fit(MONDAY, epochs=2, verbose=0)
    return model


def test_it_goes_on_by_value_with_ledger_and_optimizer(old):
    before = old.predict(MONDAY, verbose=0)["click"]
    found = rk.models.next_day(old, TUESDAY, day=5, new_rows="unknown")
    np.testing.assert_array_equal(found.model.predict(MONDAY, verbose=0)["click"], before)
    assert int(found.model.optimizer.iterations) == int(old.optimizer.iterations) == 2
    assert found.changes["ad"] == {"kept": 3, "added": 1, "evicted": 0}
    assert found.moved.tables["user"] == {"kept": 4, "new": 1, "gone": 0}
    assert "values of ad: 3 kept, 1 added, 0 evicted\n" in str(found)
    assert "dense weights: " in str(found)
    later = rk.models.next_day(found.model, TUESDAY, found.ledger, day=8, evict_after=2)
    assert later.model.features.lookups["ad"].vocabulary() == ["d", "b"]


def test_of_a_calibrated_model_the_base_goes_on(old):
    calibrated = rk.models.Calibrated(old, {"click": rk.layers.PlattScaling(offset=-1.0)})
    model = rk.models.next_day(calibrated, TUESDAY, day=1).model
    assert type(model) is rk.DLRM
    same = [old.predict(MONDAY, verbose=0), model.predict(MONDAY, verbose=0)]
    np.testing.assert_array_equal(same[0]["click"], same[1]["click"])
