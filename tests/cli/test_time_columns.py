"""Columns of dates and times."""

import numpy as np
import pytest

from rankup_keras.cli.time_columns import FRACTIONS, OWN_FORM
from tests.cli.test_column_roles import ROWS, judged, rng


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (1_700_000_000 + 60 * rng.permutation(ROWS), "Unix seconds"),
        (1_700_000_000.5 + 60 * rng.permutation(ROWS), "Unix seconds with fractions"),
        (1_700_000_000_000 + 60_000 * rng.permutation(ROWS), "Unix milliseconds"),
        ([f"2024-01-{1 + i % 28:02}" for i in range(ROWS)], "dates as text"),
        ([f"2024-01-{1 + i % 28:02}T10:00:00Z" for i in range(ROWS)], "dates as text"),
        ([f"{1 + i % 28}/01/2024 10:30" for i in range(ROWS)], "dates in a form of their own"),
        (np.datetime64("2024-01-01", "s") + 60 * np.arange(ROWS), "timestamps"),
        (np.datetime64("2024-01-01", "D") + np.arange(ROWS) % 40, "dates"),
    ],
    ids=[
        "seconds",
        "fractions",
        "milliseconds",
        "date",
        "zone",
        "other form",
        "timestamp",
        "date32",
    ],
)
def test_times_are_neither_features_nor_labels(column, what):
    found = judged(labels=(), column=column)["column"]
    assert (found.role, found.why) == ("time", what)
    assert len(found.values) == (0 if what in (OWN_FORM, FRACTIONS) else 2)
