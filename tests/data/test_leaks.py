"""Columns that tell a label, and columns that do not."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import rankup_keras as rk
from rankup_keras.data import Files, find_leaks
from tests.helpers.data_files import write_csv, write_parquet

ROWS = 6000


@pytest.fixture(scope="module")
def log():
    """A click log whose columns after `click` are written after the click, save the last ones."""
    rng = np.random.default_rng(0)
    click = (rng.random(ROWS) < 0.1).astype(int)
    shown = 1_700_000_000 + np.sort(rng.integers(0, 86_400, ROWS))
    return pd.DataFrame(
        {
            "click": click,
            "dwell": np.where(click == 1, rng.gamma(2, 900, ROWS).astype(int), 0),
            "clicked_at": np.where(click == 1, shown + 5, np.nan),
            "status": np.where((click == 1) & (rng.random(ROWS) < 0.4), "paid", "seen"),
            "buy": click * (rng.random(ROWS) < 0.1),
            "updated": shown + np.where(rng.random(ROWS) < 0.3, 3600, 0),
            "ts": shown,
            "signed_up": shown - rng.integers(1, 10**8, ROWS),
            "user": [f"u{v}" for v in rng.zipf(1.3, ROWS) % 3000],
            "request": [f"r{v}" for v in range(ROWS)],
            "ctr": 0.1 * click + rng.normal(0, 0.1, ROWS),
        }
    )


def kinds(leaks):
    return {leak.column: leak.kind for leak in leaks}


TOLD = {
    "dwell": "auc",
    "clicked_at": "auc",
    "status": "one label",
    "buy": "later label",
    "updated": "time",
}


def test_a_later_label_in_text_of_a_file_is_one():
    """Such text is read as bytes."""
    click = np.arange(ROWS) % 5 == 0
    bought = np.where(click & (np.arange(ROWS) % 2 == 0), b"yes", b"no")
    found = find_leaks({"click": click.astype(int), "buy": bought.astype(object)}, ["click"])
    assert kinds(found) == {"buy": "later label"}


def test_columns_written_after_the_label_are_named_with_a_number(log):
    found = find_leaks(log, ["click"])
    assert kinds(found) == TOLD
    told = {leak.column: str(leak) for leak in found}
    assert (
        "'dwell' alone tells 'click': it orders 6,000 rows with an AUC of 1.0000" in told["dwell"]
    )
    assert "'paid'" in told["status"]
    assert f"({int(log['buy'].sum())} rows)" in told["buy"]
    share = (log["updated"] > log["ts"]).mean()
    assert f"later than 'ts' in {share:.1%} of rows" in told["updated"]


def test_libraries_and_types_do_not_matter(log):
    assert kinds(find_leaks(pa.Table.from_pandas(log), ["click"])) == TOLD
    # As a text file has it.
    text = {name: ["" if v != v else str(v) for v in column] for name, column in log.items()}
    text["ts"] = [str(v) for v in pd.to_datetime(log["ts"], unit="s")]
    text["updated"] = [str(v) for v in pd.to_datetime(log["updated"], unit="s")]
    assert kinds(find_leaks(text, ["click"])) == TOLD
    labels = {"click": log["click"].map({0: "no", 1: "yes"})}
    assert kinds(find_leaks(log.drop(columns="click"), labels)) == TOLD


def test_the_rarer_side_of_a_label_does_not_matter(log):
    found = kinds(find_leaks(log.assign(click=1 - log["click"]), ["click"]))
    assert found == {**TOLD, "buy": "one label"}


def test_coarse_event_times_and_few_rows_tell_nothing(log):
    days = log[["click"]].assign(date=log["ts"] // 86_400 * 86_400, ts2=log["ts"])
    assert find_leaks(days, "click") == []
    with pytest.raises(ValueError, match=r"missing: \['clik'\]. Received columns: \['click'"):
        find_leaks(days, ["clik"])
    assert find_leaks(log.drop(columns="updated").head(40), ["click"]) == []
    assert kinds(find_leaks(log[["click", "updated", "ts"]], ["click"], time="updated")) == {}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_of_files_the_columns_of_features_are_looked_at(tmp_path, log, write):
    names = ["click", "dwell", "status", "user", "request"]
    columns = {name: log[name].tolist() for name in names}
    features = rk.FeatureSet(
        [rk.Numeric("dwell"), *(rk.Categorical(name) for name in ("status", "user", "request"))]
    )
    path = tmp_path / ("a.csv" if write is write_csv else "a.parquet")
    files = Files(write(path, columns), features, [rk.Task("clicked", label="click")])
    assert kinds(find_leaks(files)) == {"dwell": "auc", "status": "one label"}
