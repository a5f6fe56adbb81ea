"""Chunks become good rows and problems that know their line."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import rankup_keras as rk
from rankup_keras.data.cleaning import Cleaner
from rankup_keras.data.row_filters import Between
from rankup_keras.data.source import Chunk
from rankup_keras.features.target import Target


def test_rows_are_filtered_striped_and_converted():
    batch = pa.record_batch({"n": ["1", "x", "3", "4", "x"], "day": [1, 1, 2, 2, 2]})
    clean = Cleaner([Target("n", "n", "float32")], None, [Between("day", 2)], {"day": None}, None)
    chunk = Chunk(batch, Path("a.csv"), first=10)
    cleaned = clean(chunk)
    assert cleaned.rows.to_pydict() == {"feature/n": [3.0, 4.0], "extra/day": [2, 2]}
    ((column, problem),) = cleaned.problems
    assert (column, problem.row, problem.value) == ("n", 4, "x")
    assert chunk.line(problem.row) == 15
    assert clean(chunk, stripe=(1, 2)).rows["feature/n"].to_pylist() == [4.0]


def test_decimal_commas_of_numbers_that_are_not_learned_yet(tmp_path):
    (tmp_path / "a.csv").write_text("user;price;click\nu;1,5;0\nv;-2,25;1\nw;;1\n")
    features = rk.FeatureSet([rk.Categorical("user"), rk.Numeric("price", normalize=None)])
    csv = rk.data.CsvOptions(delimiter=";", decimal=",")
    files = rk.data.Files(tmp_path / "a.csv", features, ["click"], csv=csv)
    for _ in range(2):
        columns, _ = next(iter(files.dataset(3)))
        np.testing.assert_array_equal(columns["price"], [1.5, -2.25, np.nan])
        rk.data.adapt(features, files)


def test_thousands_separators_become_no_other_number(tmp_path):
    features = rk.FeatureSet([rk.Categorical("user"), rk.Numeric("price", normalize=None)])
    for value, decimal in (("1.234", ","), ("1.234,5", ","), ("1,234.5", "."), ("1,234", ".")):
        (tmp_path / "a.csv").write_text(f"user;price;click\nu;12;0\nv;{value};1\n")
        csv = rk.data.CsvOptions(delimiter=";", decimal=decimal)
        files = rk.data.Files(tmp_path / "a.csv", features, ["click"], csv=csv)
        with pytest.raises(rk.data.DataError, match=f"{value}.*without thousands separators"):
            rk.data.adapt(features, files)
