"""Weights know which vocabularies they belong to, and copies of a model bring theirs along."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.models.vocabulary_digest import description, digests, read_file
from tests.models import tiny


def rows(users="abcd", items="xyxy"):
    return {"user": list(users), "item": list(items), "click": [1, 0, 1, 0]}


def make_model(data=None, **settings):
    features = [rk.Categorical("user", **settings), rk.Categorical("item")]
    features = rk.FeatureSet(features).adapt(data or rows())
    return rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))


def test_a_digest_is_of_the_values_in_their_order():
    own = digests(make_model().features)
    assert sorted(own) == ["item", "user"]
    assert digests(make_model(rows(items="yxyx")).features) == own  # as frequent, so as sorted
    assert digests(make_model(rows("aabc")).features)["user"] != own["user"]
    assert digests(make_model(rows("abce")).features)["user"] != own["user"]
    assert digests(make_model(oov_buckets=2).features)["user"] != own["user"]
    assert digests(make_model(hash_buckets=9).features) == {"item": own["item"]}


@pytest.mark.parametrize("name", ["model.weights.h5", "model.weights.json", "model.keras"])
def test_weights_of_other_vocabularies_are_refused(tmp_path, name):
    path = str(tmp_path / name)
    source, same, other = make_model(), make_model(), make_model(rows("abce"))
    if name.endswith(".keras"):
        source.save(path)
    else:
        source.save_weights(path, max_shard_size=1 if name.endswith(".json") else None)
    assert read_file(path) == description(source.features)
    same.load_weights(path)
    np.testing.assert_array_equal(same.get_weights()[0], source.get_weights()[0])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"other vocabularies of the features \['user'\]"):
        other.load_weights(path)
    for ours, theirs in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Past the model's own method too.
    with pytest.raises(ValueError, match=r"other vocabularies of the features \['user'\]"):
        keras.saving.load_weights(other, path)
    with pytest.raises(ValueError, match="The weights of `source` belong to other vocabularies"):
        rk.models.copy_weights(source, other)


def test_files_of_earlier_versions_load_with_a_warning(tmp_path, monkeypatch):
    path = str(tmp_path / "old.weights.h5")
    source, target = make_model(), make_model()
    monkeypatch.setattr("rankup_keras.models.vocabulary_digest.write", lambda *args: None)
    source.save_weights(path)
    with pytest.warns(UserWarning, match="does not say which vocabularies"):
        target.load_weights(path)
    np.testing.assert_array_equal(target.get_weights()[0], source.get_weights()[0])
    source.save(tmp_path / "old.keras")
    keras.saving.load_model(tmp_path / "old.keras")  # it brings its vocabularies, and says nothing


def test_checkpoints_of_callbacks_hold_digests(tmp_path):
    model, path = make_model(), str(tmp_path / "best.weights.h5")
    model.compile()
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    model.fit(rows(), callbacks=[save], verbose=0)
    assert read_file(path) == description(model.features)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("make", list(tiny.MAKERS.values()), ids=list(tiny.MAKERS))
def test_copies_score_raw_rows(make):
    model, data = make(), tiny.make_rows()
    model.compile()
    wanted = model.predict_on_batch(data)["click"]
    blank = model.from_config(model.get_config())
    by_json = model.from_config(json.loads(json.dumps(model.get_config())))
    for other in (blank, by_json):
        assert other.features is not model.features
        other.set_weights(model.get_weights())
    whole = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in (blank, by_json, *whole):
        assert type(other) is type(model)
        np.testing.assert_allclose(other.predict_on_batch(data)["click"], wanted, atol=1e-6)
    for other in whole:
        assert np.isfinite(other.fit(data, tiny.make_labels(), verbose=0).history["loss"]).all()
    with pytest.raises(ValueError, match=r"use `type\(model\).from_config"):
        keras.models.clone_model(model)


def test_a_config_of_another_process_says_what_it_lacks():
    config = make_model().get_config()
    config["vocabularies"] = {"user": "unknown here", "item": "unknown here"}
    model = rk.DLRM.from_config(config)
    with pytest.raises(RuntimeError, match=r"no vocabulary yet.*load the model from a `.keras`"):
        model.predict(rows(), verbose=0)


def model_of(*features, data=None):
    features = rk.FeatureSet(features).adapt(data or {**rows(), "price": [1.0, 2.0, 3.0, 9.0]})
    return rk.RankMixer(features, ["click"], token_dim=4, num_tokens=1, num_blocks=1)


USER, ITEM, PRICE = rk.Categorical("user"), rk.Categorical("item"), rk.Numeric("price")


@pytest.mark.parametrize(
    ("saved", "model", "message"),
    [
        ([USER, ITEM], [ITEM, USER], r"in another order: \['user', 'item'\]"),
        ([USER], [ITEM], "belong to other features"),
        (
            [rk.Categorical("user", num_ids=20)],
            [rk.Categorical("user", hash_buckets=21)],
            "encoded in another way: 'user' by .*num_ids.*here by .*hash_buckets",
        ),
        (
            [rk.Categorical("user", hash_buckets=21)],
            [rk.Categorical("user", hash_buckets=21, num_hashes=2)],
            "num_hashes",
        ),
        ([PRICE], [rk.Numeric("price", normalize="log")], "encoded in another way: 'price'"),
    ],
)
def test_weights_of_other_features_are_refused(tmp_path, saved, model, message):
    path, ids = str(tmp_path / "m.weights.h5"), {"user": [1, 2, 3, 4], "click": [0, 1, 0, 1]}
    data = ids if saved[0].get_config().get("num_ids") else None
    model_of(*saved, data=data).save_weights(path)
    with pytest.raises(ValueError, match=message):
        model_of(*model).load_weights(path)


def test_other_means_are_warned_of(tmp_path):
    path = str(tmp_path / "m.weights.h5")
    model_of(USER, PRICE).save_weights(path)
    model_of(USER, PRICE).load_weights(path)
    other = model_of(USER, PRICE, data={**rows(), "price": [10.0, 20.0, 30.0, 90.0]})
    with pytest.warns(UserWarning, match=r"another mean and standard deviation.*\['price'\]"):
        other.load_weights(path)
