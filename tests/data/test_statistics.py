"""One pass over files: what is in them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.data import DataError, Files, Statistics, scan
from rankup_keras.data.statistics import SAMPLE, Sample


def test_statistics_are_written_and_read_again(tmp_path):
    found = Statistics(3, 1, {"click": 0.5}, {"price": {"mean": 1.0}})
    found.write(tmp_path)
    again = Statistics.read(tmp_path)
    assert again.folder == tmp_path
    assert (again.rows, again.bad_rows, again.labels) == (3, 1, {"click": 0.5})
    assert again.features == found.features


def test_quantiles_are_those_of_all_values_or_of_a_sample():
    small, large = Sample(), Sample()
    small.update(np.array([1, 2, np.nan, 3], np.float32))
    assert small.quantiles()[4] == 2.0
    assert Sample().quantiles() == []
    for start in range(0, 3 * SAMPLE, SAMPLE // 2):
        large.update(np.arange(start, start + SAMPLE // 2, dtype=np.float32))
    np.testing.assert_allclose(large.quantiles()[4] / (1.5 * SAMPLE), 1.0, atol=0.02)


def test_a_scan_without_a_folder_only_checks(tmp_path):
    table = pa.table({"user": ["a", "b"], "click": [0, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    features = rk.FeatureSet([rk.Categorical("user")])
    found = scan(Files(tmp_path, features, ["click"]))
    assert (found.rows, found.labels, found.features) == (2, {"click": 0.5}, {})
    assert not features.is_adapted
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="There is no row in 1 file"):
        scan(Files(tmp_path, features, ["click"]))


def test_lists_by_another_separator_are_told(tmp_path):
    features = rk.FeatureSet(
        [rk.Categorical("item", vocabulary=["a"]), rk.History("seen", of="item", max_length=3)]
    )
    path = tmp_path / "a.csv"
    path.write_text('item,seen\na,"a, b"\nb,"c,d,e"\na,a\n')
    with pytest.warns(UserWarning, match=r"column 'seen'.*list_separator='\|', and most hold ','"):
        scan(Files(path, features))
    path.write_text('item,seen\na,"x, y|b"\nb,"c,d,e"\n')
    scan(Files(path, features))  # the comma belongs to the values


@pytest.mark.parametrize(
    ("unit", "value", "message"),
    [
        ("s", 1_700_000_000_000, "cannot be times in unit='s'. Give unit='ms'"),
        ("ms", 1_700_000_000, "cannot be times in unit='ms'. Give unit='s'"),
        ("s", 20260901, "dates written as numbers"),
        ("ms", 20260901123000, "dates written as numbers"),
    ],
)
@pytest.mark.parametrize("column", ["now", "at"])
def test_times_of_another_unit_in_files_and_datasets_are_refused(
    tmp_path, unit, value, message, column
):
    def described():
        past = rk.Events("seen", {"ids": "id"}, time="at", request_time="now", max_length=2)
        return rk.FeatureSet([rk.Timestamp("now", unit), rk.Categorical("id"), past])

    now = 1_700_000_000 * {"s": 1, "ms": 1000}[unit]
    rows = {"now": [now, now], "id": ["a", "b"], "ids": [["a"], ["b"]], "at": [[now - 9], [now]]}
    rows[column] = [value, value] if column == "now" else [[value], [value]]
    pq.write_table(pa.table(rows), tmp_path / "b.parquet")
    rows[column] = [None, None] if column == "now" else [[], []]
    pq.write_table(pa.table({**rows, "ids": [[], []], "at": [[], []]}), tmp_path / "a.parquet")
    for work in (lambda f, g: rk.data.adapt(g, f), lambda f, g: scan(f)):
        features = described()
        with pytest.raises(DataError, match=f"b.parquet, column '{column}'.*{message}"):
            work(Files(tmp_path, features), features)
    rows = {"now": [now, now], "at": [[now - 9], [now]], "id": ["a", "b"], "ids": [["a"], ["b"]]}
    rows[column] = [value, value] if column == "now" else [[value], [value]]
    dataset = tf.data.Dataset.from_tensor_slices(rows).batch(2)
    with pytest.raises(ValueError, match=f"Column '{column}'.*{message}"):
        described().adapt(dataset)
