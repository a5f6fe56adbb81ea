"""A model whose values have several hash functions: trained, saved, exported, ranking."""

import keras
import numpy as np

import rankup_keras as rk
from rankup_keras.serving import export, load_session


def make_rows(count, seed=0):
    rng = np.random.default_rng(seed)

    def pick(shape):
        return rng.choice(["a", "b", "c", "d", "e", ""], size=shape)

    return {
        "item": pick(count),
        "tags": pick((count, 3)),
        "user": pick(count),
        "clicks": pick((count, 5)),
        "code": rng.integers(-1, 5, count),
    }


def make_model():
    features = rk.FeatureSet(
        [
            rk.Categorical("item", hash_buckets=7, num_hashes=3),
            rk.Categorical("tags", hash_buckets=6, num_hashes=2, max_length=2, combiner="sqrtn"),
            rk.Categorical("user", hash_buckets=9, num_hashes=2, side="user"),
            rk.History("clicks", of="item", max_length=4),
            rk.Categorical("code", num_ids=5, side="user"),
        ]
    )
    return rk.RankUp(
        features,
        ["click"],
        token_dim=8,
        num_blocks=1,
        embedding_dim=4,
        sequence_encoder="attention",
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
    )


def test_training_and_serving_agree(tmp_path):
    model, rows = make_model(), make_rows(40)
    model.compile(rk.optimizers.Split())
    labels = (rows["item"] == "a").astype("float32")
    history = model.fit(rows, labels, batch_size=10, epochs=12, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    wanted = model.predict(rows, verbose=0)["click"]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(rows, verbose=0)["click"], wanted)
    both = ["serving_default", "rank"]
    place = export(model, tmp_path / "ranker", warmup=rows, batch_sizes=(1, 4), signatures=both)
    with load_session(place) as session:
        np.testing.assert_allclose(session.run(rows)["click"], wanted[:, 0], atol=1e-6)
        side = ("user", "clicks", "code")
        once = {k: v[:1] if k in side else v for k, v in rows.items()}
        ranked = session.run(once, "rank")["click"]
    spread = {k: np.repeat(v, 40, 0) if k in side else v for k, v in once.items()}
    np.testing.assert_allclose(ranked, model.predict(spread, verbose=0)["click"][:, 0], atol=1e-6)
