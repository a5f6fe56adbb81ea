"""Frappe: tiny files in the exact formats."""

import numpy as np

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import count_rows, first_batch


def test_frappe(tmp_path):
    data = rk.datasets.frappe(tiny.write_frappe(tmp_path))
    assert count_rows(data.train, data.valid, data.test) == [60, 60, 60]
    columns, labels = first_batch(data.train)
    assert set(np.unique(labels["used"])) == {0.0, 1.0}
    assert columns["user"].dtype == np.int64
    assert columns["item"].min() >= 10
