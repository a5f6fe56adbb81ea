"""Counts of values, in memory and on disk."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from rankup_keras.features import value_counts
from rankup_keras.features.value_counts import ValueCounts


@pytest.mark.parametrize("kind", ["string", "int64"])
@pytest.mark.parametrize("limit", [None, 60])
def test_counts_on_disk_equal_counts_in_memory(tmp_path, monkeypatch, kind, limit):
    monkeypatch.setattr(value_counts, "PENDING", 500)
    monkeypatch.setattr(value_counts, "RANGE", 300)
    rng = np.random.default_rng(0)
    counter, seen = ValueCounts(kind, memory=3000, folder=str(tmp_path)), Counter()
    spilled = 0
    for _ in range(40):
        values = (rng.zipf(1.3, 300) % 2000 - 1).tolist()
        if kind == "string":
            values = [b"" if v < 0 else b"%d" % v for v in values]
        seen.update(values)
        counter.update(pa.array(values, counter.type))
        spilled = max(spilled, len(counter._spills))
    assert spilled > 2
    missing = seen.pop(counter.missing)
    kept = [(value, n) for value, n in seen.items() if n >= 2]
    kept = sorted(kept, key=lambda item: (-item[1], item[0]))[:limit]
    found = counter.result("c", 2, limit)
    assert list(zip(found["value"].to_pylist(), found["count"].to_pylist(), strict=True)) == kept
    assert counter.missing_rows == missing
    assert list(tmp_path.iterdir()) == []
