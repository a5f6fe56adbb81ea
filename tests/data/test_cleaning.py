"""Chunks become good rows and problems that know their line."""

from pathlib import Path

import pyarrow as pa

from rankup_keras.data.cleaning import Cleaner
from rankup_keras.data.row_filters import Between
from rankup_keras.data.source import Chunk
from rankup_keras.features.target import Target


def test_rows_are_filtered_striped_and_converted():
    batch = pa.record_batch({"n": ["1", "x", "3", "4", "x"], "day": [1, 1, 2, 2, 2]})
    clean = Cleaner([Target("n", "n", "float32")], None, [Between("day", 2)], ["day"], None)
    chunk = Chunk(batch, Path("a.csv"), first=10)
    cleaned = clean(chunk)
    assert cleaned.rows.to_pydict() == {"feature/n": [3.0, 4.0], "extra/day": [2, 2]}
    ((column, problem),) = cleaned.problems
    assert (column, problem.row, problem.value) == ("n", 4, "x")
    assert chunk.line(problem.row) == 15
    assert clean(chunk, stripe=(1, 2)).rows["feature/n"].to_pylist() == [4.0]
