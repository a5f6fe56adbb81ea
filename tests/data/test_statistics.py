"""One pass over files: what is in them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
