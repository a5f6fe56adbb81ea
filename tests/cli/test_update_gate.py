"""What the gate of an update lets through."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.scoring import score
from rankup_keras.cli.settings import Gate
from rankup_keras.cli.update_gate import (
    latencies,
    latency_problems,
    problems,
    rank_problems,
    scores_of_export,
)

NAN = float("nan")
SERVED = {"auc": 0.75, "ne": 0.8, "calibration": 1.02}


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({}, []),
        ({"auc": 0.746, "ne": 0.809, "calibration": 0.94}, []),
        ({"auc": 0.744}, ["AUC of 'buy' is 0.7440, 0.7500 of the one served: below 0.7450"]),
        ({"ne": 0.82}, ["NE of 'buy' is 0.8200, 0.8000 of the one served: above 0.8100"]),
        ({"calibration": 1.08}, ["Distance of calibration from 1 of 'buy' is 0.0800, 0.0200 of"]),
        ({"auc": NAN, "ne": NAN, "calibration": NAN}, ["AUC of", "NE of", "Distance of"]),
    ],
)
def test_metrics(changed, reasons):
    found = list(problems(Gate(), {"buy": SERVED}, {"buy": {**SERVED, **changed}}))
    assert len(found) == len(reasons)
    assert all(text.startswith(start) for text, start in zip(found, reasons, strict=True))


def test_rows_of_one_class_and_settings_of_null_refuse_nothing():
    nothing = dict.fromkeys(SERVED, NAN)
    assert not list(problems(Gate(), {"buy": nothing}, {"buy": nothing}))
    gate = Gate(auc=None, ne=None, calibration=None, effective_rank=None, latency=None)
    assert not list(problems(gate, {"buy": SERVED}, {"buy": dict.fromkeys(SERVED, 0.0)}))
    assert not rank_problems(gate, {"ffn": 5.0}, {"ffn": 1.0})
    assert not latency_problems(gate, 1.0, 99.0)


def test_ranks_and_latency():
    assert not rank_problems(Gate(), {"ffn": 5.0}, {"ffn": 4.1, "other": 1.0})
    (reason,) = rank_problems(Gate(), {"ffn": 5.0}, {"ffn": 3.9})
    assert reason == "Effective rank of 'ffn' is 3.90, 5.00 of the one served: below 4.00"
    assert not latency_problems(Gate(), 2.0, 3.0)
    assert latency_problems(Gate(), 2.0, 3.1) == [
        "Latency is 3.10 ms, 2.00 ms of the one served: above 1.5 times"
    ]


def test_a_served_version_answers_as_its_model(tmp_path):
    rows = {
        "user": ["a", "b", None, "a", "c"],
        "price": [1.0, 2.5, None, 0.0, 7.0],
        "tags": [["x"], [], ["y", "x"], None, ["z"]],
        "click": [0, 1, 0, 1, 0],
    }
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    columns = [rk.Categorical("user"), rk.Numeric("price"), rk.Categorical("tags", max_length=2)]
    features = rk.FeatureSet(columns)
    files = rk.data.Files(tmp_path / "rows.parquet", features, ["click"])
    rk.data.adapt(features, files)
    model = rk.DCNv2(features, ["click"], embedding_dim=2)
    path = rk.export(model, tmp_path / "ads", batch_sizes=[1], signatures=["serving_default"])
    found = list(scores_of_export(path, files, 2))
    for (table, scores), (same, wanted) in zip(found, score(model, files, 2), strict=True):
        assert table["label/click"].equals(same["label/click"])
        np.testing.assert_allclose(scores["click"], wanted["click"], atol=1e-6)
    times = latencies([path, path], next(iter(files.dataset(5)))[0])
    assert len(times) == 2
    assert min(times) > 0
    other = rk.data.Files(tmp_path / "rows.parquet", rk.FeatureSet(columns[:2]), ["click"])
    with pytest.raises(RunError, match="of another model"):
        next(scores_of_export(path, other, 2))
