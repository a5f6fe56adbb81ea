"""Frozen layers stay so in files and in the models that follow."""

import keras
import numpy as np

import rankup_keras as rk
from rankup_keras.models.frozen_layers import frozen_config
from tests.models import tiny


def test_frozen_layers_are_frozen_after_a_reload(tmp_path):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    model = tiny.make_rankup()
    assert frozen_config(model) == {}
    tables = model.get_layer("embeddings")
    inner = next(x for x in model.get_layer("block_1_ffn")._flatten_layers() if x.name == "down")
    tables.trainable = inner.trainable = False
    model.compile()
    model.fit(rows, labels, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    for mine, saved in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, saved)
    before = [np.array(w) for w in loaded.get_layer("embeddings").weights]
    loaded.fit(rows, labels, verbose=0)
    for now, then in zip(loaded.get_layer("embeddings").weights, before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert frozen_config(rk.models.rebuild(loaded)) == frozen_config(model)
