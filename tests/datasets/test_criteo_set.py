"""Criteo: tiny files in the exact formats."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import check_training, count_rows, first_batch


@pytest.mark.parametrize("zipped", [False, True])
def test_criteo(tmp_path, zipped):
    name = "train.txt.gz" if zipped else "train.txt"
    path = tiny.write_criteo(tmp_path / name, zipped=zipped)
    data = rk.datasets.criteo(path, min_count=2)
    assert sum(count_rows(data.train, data.valid, data.test)) == 200
    columns, labels = first_batch(data.train)
    assert set(columns) == {*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))}
    assert set(np.unique(labels["label"])) == {0.0, 1.0}
    assert np.isnan(columns["I1"]).any()
    assert b"" in columns["C1"]
    if not zipped:
        check_training(data)


def test_days_of_criteo(tmp_path):
    for day, rows in ((0, 30), (2, 20), (10, 40)):
        tiny.write_criteo(tmp_path / f"day_{day}", rows=rows, seed=day)
    data = rk.datasets.criteo(tmp_path, hash_buckets=50)
    assert [path.name for path in data.train.paths] == ["day_0", "day_2"]
    train, valid, test = count_rows(data.train, data.valid, data.test)
    assert train == 50
    assert valid + test == 40
    assert min(valid, test) > 10
