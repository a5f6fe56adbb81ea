"""Scores of files are those of `predict`, and so are their metrics."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.cli import scoring
from rankup_keras.cli.failures import RunError
from rankup_keras.metrics import exact

ROWS = 100


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    return {
        "user": rng.choice(["a", "b", "c"], ROWS),
        "price": rng.random(ROWS).astype(np.float32),
        "click": rng.integers(0, 2, ROWS),
        "weight": rng.random(ROWS).astype(np.float32),
    }


@pytest.fixture(scope="module")
def model(columns):
    features = rk.FeatureSet([rk.Categorical("user", dtype="string"), rk.Numeric("price")])
    features.adapt(columns)
    return rk.DLRM(features, ["click"], embedding_dim=2, bottom_units=[2], top_units=[2])


def test_exact_metrics_with_weights_and_groups(columns, model, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    files = rk.data.Files(path, model.features, ["click"], weight="weight", extra=["user"])
    rows, found, _ = scoring.evaluate(model, files, 32, "user")
    inputs = {name: columns[name] for name in ("user", "price")}
    scores = model.predict(inputs, verbose=0)["click"].reshape(-1)
    labels, weights = columns["click"], columns["weight"]
    ids = np.unique(columns["user"], return_inverse=True)[1]
    assert rows == ROWS
    assert list(found["click"]) == ["auc", "log_loss", "ne", "calibration", "gauc"]
    assert found["click"]["auc"] == pytest.approx(exact.auc(labels, scores, weights))
    assert found["click"]["log_loss"] == pytest.approx(exact.log_loss(labels, scores, weights))
    assert found["click"]["gauc"] == pytest.approx(exact.gauc(labels, scores, ids, weights))
    by_user = scoring.evaluate(model, files, 32, None, segment="user").calibration["click"]
    own = columns["user"] == "b"
    rows, predicted, observed, _ = by_user.segments["b"]
    assert rows == own.sum()
    assert predicted == pytest.approx(np.average(scores[own], weights=weights[own]))
    assert observed == pytest.approx(np.average(labels[own], weights=weights[own]))


def test_a_file_of_predictions_is_whole_or_not_there(columns, model, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    files = rk.data.Files(str(tmp_path / "a.parquet"), model.features, extra=["user"])
    path = tmp_path / "scores/b.csv"
    scoring.check_output(path, False)
    assert scoring.write_predictions(model, files, path, ["user"], 32) == (ROWS, 0)
    with pytest.raises(RunError, match="--overwrite"):
        scoring.check_output(path, False)
    with pytest.raises(RunError, match=r"\.parquet or \.csv"):
        scoring.check_output(tmp_path / "b.txt", False)
    assert [p.name for p in path.parent.iterdir()] == ["b.csv"]


@pytest.mark.parametrize(
    ("keep", "name", "message"),
    [
        ("user", "a.parquet", "is one of the files to be scored"),
        ("click_probability", "b.parquet", "cannot be kept: the scores have its name"),
        ("tags", "b.csv", r"'tags' holds list.*Write a \.parquet"),
        ("raw", "b.csv", r"'raw' holds bytes that are no UTF-8.*Write a \.parquet"),
    ],
)
def test_scores_that_would_replace_something_are_refused(
    columns, model, tmp_path, keep, name, message
):
    more = {"click_probability": columns["price"], "tags": [["a"]] * ROWS, "raw": [b"\xff"] * ROWS}
    pq.write_table(pa.table({**columns, **more}), tmp_path / "a.parquet")
    before = (tmp_path / "a.parquet").read_bytes()
    files = rk.data.Files(tmp_path / "a.parquet", model.features, extra=[keep])
    with pytest.raises(RunError, match=message):
        scoring.write_predictions(model, files, tmp_path / name, [keep], 32)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_what_spreadsheets_would_run_is_made_text():
    cells = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", " =1", "-3.5", "+1e3", "a=b", None, ""]
    columns, found = scoring.without_formulas({"=user": pa.array(cells), "price": pa.array([-1.0])})
    assert found == 6
    assert columns["'=user"].to_pylist() == [f"'{c}" for c in cells[:6]] + cells[6:]
    assert columns["price"].to_pylist() == [-1.0]


def test_rows_without_a_label_are_left_out(columns, model, tmp_path):
    rng = np.random.default_rng(1)
    missing = rng.random(ROWS) < 0.5
    buy = np.where(missing, np.nan, columns["click"] * rng.integers(0, 2, ROWS))
    pq.write_table(pa.table({**columns, "buy": buy}), tmp_path / "a.parquet")
    skip = {"label": "buy", "missing_labels": "skip"}
    tasks = ["click", rk.Task("buy", after="click", **skip), rk.Task("alone", **skip)]
    model = rk.DLRM(model.features, tasks, embedding_dim=2, bottom_units=[2], top_units=[2])
    path = str(tmp_path / "a.parquet")
    files = rk.data.Files(path, model.features, tasks, weight="weight", extra=["user"])
    found = scoring.evaluate(model, files, 32, "user").metrics
    scores = model.predict({name: columns[name] for name in ("user", "price")}, verbose=0)
    certain = np.where(missing & (columns["click"] == 0), 0.0, buy)
    for task, labels in (("buy", certain), ("alone", buy)):
        known = ~np.isnan(labels)
        y, p, w = labels[known], scores[task].reshape(-1)[known], columns["weight"][known]
        assert found[task]["ne"] == pytest.approx(exact.normalized_entropy(y, p, w))
        ids = np.unique(columns["user"][known], return_inverse=True)[1]
        assert found[task]["gauc"] == pytest.approx(exact.gauc(y, p, ids, w), nan_ok=True)
