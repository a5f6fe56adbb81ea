"""Large models are written by way of the disk, to the same files."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.models import large_files

ROWS = {"user": list("abab"), "item": list("xyyx"), "click": [0, 1, 1, 0]}


@pytest.fixture(scope="module")
def model():
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("item")]).adapt(ROWS)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    model.compile()
    model.fit(ROWS, verbose=0)
    return model


def content(path):
    with zipfile.ZipFile(path) as file:
        weights = {}
        with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as store:
            store.visititems(
                lambda name, item: (
                    weights.update({name: item[()].tobytes()})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
        names = sorted(set(file.namelist()) - {"model.weights.h5", "metadata.json"})
        return {**{name: file.read(name) for name in names}, **weights}


def test_files_are_those_of_keras(model, tmp_path, monkeypatch):
    model.save(tmp_path / "small.keras")
    monkeypatch.setattr(large_files, "LARGE", 1)
    path = tmp_path / "large.keras"
    path.write_text("what was there before")
    model.save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large.keras", "small.keras"]
    assert content(path) == content(tmp_path / "small.keras")
    loaded = keras.saving.load_model(path)
    ours, theirs = (m.predict(ROWS, verbose=0)["click"] for m in (loaded, model))
    np.testing.assert_array_equal(ours, theirs)


def test_a_file_has_every_variable_once(model, tmp_path):
    model.save(tmp_path / "model.keras")
    found = content(tmp_path / "model.keras")
    held = [v for v in found.values() if len(v) > 100]  # of small ones two may be equal
    assert len(set(held)) == len(held)
    assert sum(name.startswith("optimizer/vars/") for name in found) == 1  # its count of steps


def test_what_is_not_for_the_disk(model, tmp_path, monkeypatch):
    monkeypatch.setattr(large_files, "LARGE", 1)
    assert large_files.large_local_file(model, tmp_path / "model.keras")
    calibrated = rk.models.Calibrated(model, {})  # which is never compiled
    assert large_files.large_local_file(calibrated, tmp_path / "model.keras")
    assert not large_files.large_local_file(model, "hf://someone/model.keras")
    assert not large_files.large_local_file(model, tmp_path / "model.h5")
    monkeypatch.setattr(large_files, "LARGE", 1 << 40)
    assert not large_files.large_local_file(model, tmp_path / "model.keras")
