"""The callback on this package's models, from raw columns."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk

LAYERS = ["tokens", "block_1_mixer", "block_1_ffn", "block_2_mixer", "block_2_ffn"]
ROWS = 96


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    return {
        "user": rng.integers(0, 20, ROWS).astype(str),
        "item": rng.integers(0, 30, ROWS).astype(str),
        "price": rng.gamma(2.0, 3.0, ROWS).astype("float32"),
    }


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(1)
    return {task: (rng.random(ROWS) < 0.4).astype("float32") for task in ("click", "buy")}


def make_model(name, columns):
    features = rk.FeatureSet(
        [
            rk.Categorical("user", hash_buckets=32),
            rk.Categorical("item"),
            rk.Numeric("price", normalize="log"),
        ]
    )
    features.adapt(columns)
    model = getattr(rk, name)(features, ["click", "buy"], token_dim=12, embedding_dim=4)
    model.compile("adam")
    return model


@pytest.mark.parametrize("name", ["RankUp", "RankMixer"])
def test_raw_columns(name, columns, labels):
    model = make_model(name, columns)
    callback = rk.callbacks.EffectiveRank((columns, labels))
    history = model.fit(
        columns, labels, batch_size=32, epochs=1, verbose=0, callbacks=[callback]
    ).history
    assert list(callback.profiles[-1].layers) == LAYERS
    tokens = callback.profiles[-1].layers["tokens"]
    assert (tokens.samples, tokens.width) == (ROWS, 12)
    assert history["effective_rank/block_2_ffn"][0] > 1.0
    tables = {key.split("/", 1)[1] for key in history if key.startswith("information_abundance")}
    assert {table.split("/")[1] for table in tables} == {"user", "item"}


def test_raw_and_encoded_rows_in_memory_and_in_datasets_agree(columns, labels):
    model = make_model("RankUp", columns)
    data = tf.data.Dataset.from_tensor_slices((columns, labels)).batch(40)
    expected = rk.diagnostics.rank_profile(model, columns).layers
    for rows in (data, model.encode(data), model.encode(columns), (columns, labels)):
        found = rk.diagnostics.rank_profile(model, rows).layers
        for name in LAYERS:
            assert found[name].mean == pytest.approx(expected[name].mean, rel=1e-6)


def test_a_resumed_training_gets_fresh_weights_for_its_control(columns, labels):
    model = make_model("RankUp", columns)
    model.fit(columns, labels, batch_size=32, verbose=0)
    callback = rk.callbacks.EffectiveRank(columns)
    model.fit(columns, labels, batch_size=32, verbose=0, callbacks=[callback])
    assert callback.profiles[0].label == "untrained"
    now, fresh = callback.profiles[1], callback.profiles[0]
    assert list(fresh.layers) == LAYERS
    assert now.layers["tokens"].mean != fresh.layers["tokens"].mean
