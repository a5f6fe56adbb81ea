import json

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.serving import export, read_card
from tests.serving import stand_in


def test_the_card(exported):
    card = json.loads((exported / "model.json").read_text())
    assert card["name"] == "ranker"
    assert card["tasks"] == ["click", "buy"]
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["versions"]["rankup-keras"] == rk.__version__
    assert card["metrics"] == {"val_click_auc": 0.8}
    assert card["effective_rank"] == {"block_1_mixer": 0.5}
    assert card["columns"]["history"] == {
        "dtype": "string",
        "shape": [None, None],
        "side": "user",
        "max_length": 5,
    }
    assert card["columns"]["genres"]["side"] == "candidate"
    assert [f["type"] for f in card["features"]][:2] == ["Categorical", "Numeric"]
    assert "user49" not in json.dumps(card["features"])
    # 3 batch sizes of 6 signatures.
    assert card["warmup_records"] == 18
    assert card["signatures"]["rank"]["inputs"]["history"] == "string [1, None]"


def test_a_trained_models_metrics_are_on_the_card(tmp_path):
    model = stand_in.make_small()
    rows = model.features.encode(stand_in.small_rows(16))
    labels = {"click": np.ones((16, 1))}
    model.compile("sgd", loss="binary_crossentropy")
    model.fit(rows, labels, epochs=2, verbose=0)
    path = export(model, tmp_path / "m", signatures=["serving_default"])
    card = json.loads((path / "model.json").read_text())
    assert card["metrics"]["loss"] == model.history.history["loss"][-1]


def test_a_directory_without_a_card(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"by rankup_keras.export, with model\.json"):
        read_card(tmp_path)
