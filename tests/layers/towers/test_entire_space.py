"""Products of probabilities of tasks that follow each other."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.helpers.layer_test import run_layer_test


def test_products_in_a_chain():
    rng = np.random.default_rng(0)
    outputs = {n: rng.uniform(size=(5, 1)).astype("float32") for n in ("click", "buy", "keep", "x")}
    after = {"buy": "click", "keep": "buy"}
    layer = run_layer_test(rk.layers.EntireSpace, {"after": after}, inputs=outputs)
    found = layer(outputs)
    products = outputs["click"] * outputs["buy"]
    np.testing.assert_allclose(found["click"], outputs["click"])
    np.testing.assert_allclose(found["buy"], products, rtol=1e-6)
    np.testing.assert_allclose(found["keep"], products * outputs["keep"], rtol=1e-6)
    np.testing.assert_allclose(found["x"], outputs["x"])


def test_tasks_stand_after_those_that_they_follow():
    rows = {"ad": ["a", "b"], "user": ["x", "y"]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    with pytest.raises(ValueError, match="`after` of task 'buy' must name a task that stands"):
        rk.DLRM(features, [rk.Task("buy", after="click"), "click"], embedding_dim=4)
