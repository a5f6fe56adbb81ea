import os

import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.serving import export, load_session, versions
from rankup_keras.serving.exporting import signatures
from rankup_keras.serving.exporting.writing import read_saved_model
from tests.helpers.workers import run_code
from tests.serving import stand_in

FEW = {"signatures": ["serving_default"]}


def test_numbers_go_up_and_the_old_version_stays(tmp_path):
    model = stand_in.make_small()
    first = export(model, tmp_path / "m", **FEW)
    before = {p: p.stat().st_mtime_ns for p in first.rglob("*")}
    assert export(model, tmp_path / "m", version=40, **FEW).name == "40"
    assert export(model, tmp_path / "m", **FEW).name == "41"
    assert versions(tmp_path / "m") == [1, 40, 41]
    assert sorted(os.listdir(tmp_path / "m")) == ["1", "40", "41"]
    assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == before
    assert not (first / "assets.extra").exists()
    with pytest.raises(FileExistsError, match="version=40"):
        export(model, tmp_path / "m", version=40, **FEW)


def test_user_columns_can_be_named(tmp_path):
    model = stand_in.make_small()
    path = export(
        model, tmp_path / "m", signatures=["serving_default", "rank"], user_columns=["item_id"]
    )
    rows = stand_in.small_rows(5)
    with load_session(path) as loaded:
        got = loaded.run({**rows, "item_id": rows["item_id"][:1]}, "rank")
    want = stand_in.predict(model, {**rows, "item_id": rows["item_id"][[0] * 5]})
    np.testing.assert_allclose(got["click"], want["click"], atol=1e-6)


def test_an_export_is_traced_once(tmp_path, monkeypatch):
    traced = []
    scores = signatures._Functions._model_scores
    monkeypatch.setattr(
        signatures._Functions, "_model_scores", lambda *args: traced.append(1) or scores(*args)
    )
    export(stand_in.make_small(), tmp_path / "m", signatures=["serving_default", "classify"])
    assert traced == [1]


def test_an_export_keeps_no_gradients(tmp_path):
    """Of a model whose kernels have some."""
    features = rk.FeatureSet([rk.Categorical(name, num_ids=9) for name in ("user", "ad")])
    model = rk.RankUp(features, ["click"], token_dim=8, num_blocks=1)
    path = export(model, tmp_path / "m", **FEW)
    functions = read_saved_model(path).meta_graphs[0].graph_def.library.function
    assert not [f.signature.name for f in functions if "grad" in f.signature.name]


@pytest.mark.processes
def test_an_export_needs_no_serving_api(tmp_path):
    """With warm-up records, in a process that has neither the API nor gRPC."""
    code = """
import sys
sys.modules["tensorflow_serving"] = sys.modules["grpc"] = None
from tests.serving import stand_in
from rankup_keras.serving import export
path = export(stand_in.make_small(), "m", warmup=stand_in.small_rows(5))
assert (path / "assets.extra" / "tf_serving_warmup_requests").is_file()
"""
    run_code(code, tmp_path)
