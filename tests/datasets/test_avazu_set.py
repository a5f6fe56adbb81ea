"""Avazu: tiny files in the exact formats."""

import pytest

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import count_rows, first_batch


@pytest.mark.parametrize("split", ["random", "time"])
def test_avazu(tmp_path, split):
    data = rk.datasets.avazu(tiny.write_avazu(tmp_path / "train.csv"), split, min_count=2)
    rows = count_rows(data.train, data.valid, data.test)
    assert sum(rows) == 200
    if split == "time":
        assert rows == [160, 20, 20]
    columns, _ = first_batch(data.train)
    hours = {value.decode() for value in columns["hour_of_day"]}
    assert hours <= {f"{hour:02d}" for hour in range(24)}
    if split == "time":
        # The 21st of October 2014 was a Tuesday.
        assert columns["weekday"][0] == b"1"
