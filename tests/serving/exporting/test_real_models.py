"""The package's own models, from training to a served answer."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.serving import Client, DevelopmentServer, export, load_session, read_card
from tests.serving import stand_in


@pytest.fixture(scope="module")
def trained():
    model = rk.RankUp(stand_in.make_features(), ["click", "buy"], token_dim=32, num_blocks=1)
    model.compile("adam")
    rows = stand_in.make_rows(64)
    rng = np.random.default_rng(0)
    labels = {task: rng.integers(0, 2, 64).astype("float32") for task in ("click", "buy")}
    model.fit(rows, labels, batch_size=16, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    return export(
        trained,
        tmp_path_factory.mktemp("real") / "ranker",
        warmup=stand_in.make_rows(32),
        batch_sizes=(1, 8),
    )


def test_rankup_on_a_thousand_rows(trained, published, tmp_path):
    rows = stand_in.make_rows(1000, seed=2)
    trained.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    want = reloaded.predict(rows, verbose=0)
    once = stand_in.candidates_of(rows)
    ranked = reloaded.predict(
        {k: v.repeat(1000, 0) if len(v) == 1 else v for k, v in once.items()}, verbose=0
    )
    with (
        load_session(published) as session,
        DevelopmentServer(published.parent, port=0) as server,
        Client(server.address, "ranker", timeout=30) as client,
    ):
        scores, rank = session.run(rows), session.run(once, "rank")
        served = client.predict(rows)
        regressed = client.regress(rows)
        embedded = client.embed(rows)
        assert embedded.shape == (1000, 32)
        np.testing.assert_allclose(embedded, session.run(rows, "embed")["embedding"], atol=1e-6)
    for task in ("click", "buy"):
        np.testing.assert_allclose(scores[task], want[task][:, 0], atol=1e-6)
        np.testing.assert_allclose(served[task], want[task][:, 0], atol=1e-6)
        np.testing.assert_allclose(rank[task], ranked[task][:, 0], atol=1e-6)
    np.testing.assert_allclose(regressed, want["click"][:, 0], atol=1e-6)


def test_the_card_of_a_trained_model(trained, published):
    card = read_card(published)
    assert card["model"] == "RankUp"
    assert card["tasks"] == ["click", "buy"]
    assert card["parameters"] == trained.count_params()
    assert card["metrics"]["loss"] == trained.history.history["loss"][-1]
    ranks = card["effective_rank"]
    assert {"tokens", "block_1_mixer", "block_1_ffn"} <= set(ranks)
    for layer in ranks.values():
        assert 1 <= layer["mean"] <= layer["ceiling"]
        assert layer["normalized"] == pytest.approx(layer["mean"] / layer["ceiling"])


@pytest.mark.parametrize("name", ["RankMixer", "RankElastor", "DLRM", "DCNv2"])
def test_other_models_serve_too(name, tmp_path):
    # The gate compares each signature with the model before anything is published.
    model = getattr(rk, name)(stand_in.make_features(), ["click"])
    names = ["serving_default", "rank"]
    rows = stand_in.make_rows(20)
    path = export(
        model,
        tmp_path / "m",
        warmup=rows,
        batch_sizes=(1,),
        signatures=names,
        effective_rank={},
    )
    assert sorted(read_card(path)["signatures"]) == sorted(names)
