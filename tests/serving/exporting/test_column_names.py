"""Columns named as people name them: trained, saved, exported and served under these names."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.features.test_tensor_names import ODD


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    rows = {name: [f"v{k}" for k in rng.integers(0, 9, 32)] for name in ODD}
    rows["price €/unit"] = rng.random(32).astype("float32")
    rows["seen in 城"] = [[f"v{k}" for k in rng.integers(0, 9, i % 3 + 1)] for i in range(32)]
    return rows


def test_from_training_to_a_served_score(rows, tmp_path):
    features = rk.FeatureSet(
        [
            *(rk.Categorical(name, side="user" if name == "class" else None) for name in ODD),
            rk.Numeric("price €/unit"),
            rk.History("seen in 城", of="城市", max_length=3, side=None),
        ]
    ).adapt(rows)
    model = rk.RankMixer(features, [rk.Task("click", label="did click?")], num_blocks=1)
    model.compile()
    model.fit({**rows, "did click?": np.arange(32) % 2}, verbose=0)
    model.save(tmp_path / "m.keras")
    scores = keras.saving.load_model(tmp_path / "m.keras").predict(rows, verbose=0)["click"]
    path = rk.export(model, tmp_path / "m", warmup=rows, batch_sizes=(1,))
    with rk.serving.load_session(path) as session:
        assert set(session.signatures["serving_default"].inputs) == set(rows)
    with (
        rk.serving.DevelopmentServer(tmp_path / "m", port=0) as server,
        rk.serving.Client(server.address, model="m", timeout=60) as client,
    ):
        served = client.predict(rows)["click"]
    np.testing.assert_allclose(served, scores[:, 0], atol=1e-5)
