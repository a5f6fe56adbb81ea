"""The series of days, and which day comes next."""

import pytest

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.update_series import Series

FIRST, SECOND = ["a.parquet", 1, 2, 3], ["b.parquet", 4, 5, 6]


@pytest.fixture
def series(tmp_path):
    found = Series(RunFolder(tmp_path))
    found.write({"day": 2, "date": "1970-01-03", "refused": ["worse"], "data": [SECOND]})
    found.write({"day": 1, "refused": [], "data": [FIRST]})
    return found


def test_days_stand_once_and_in_order(series):
    series.write({"day": 2, "refused": [], "data": [SECOND]})
    assert [line["day"] for line in series.days] == [1, 2]
    assert not series.days[1]["refused"]
    assert Series(series.run).days == series.days


def test_files_are_trained_on_once_wherever_they_lie(series):
    moved = ["/elsewhere/a.parquet", *FIRST[1:]]
    assert series.trained_on([moved], None)["day"] == 1
    assert series.trained_on([moved], "1")["day"] == 1
    assert series.trained_on([SECOND], None) is None  # that day was refused
    with pytest.raises(RunError, match=r"/elsewhere/a.parquet was trained on already"):
        series.trained_on([moved, SECOND], None)
    with pytest.raises(RunError, match="as a file of day 1"):
        series.trained_on([moved], "5")


def test_numbers(series):
    new = [["c.parquet", 7, 8, 9]]
    assert series.number(new, None) == (3, {})
    assert series.number([SECOND], None) == (2, {"date": "1970-01-03"})
    assert series.number(new, "2") == (2, {})
    assert series.number(new, "2024-01-31") == (19753, {"date": "2024-01-31"})
    for asked, words in (("1", "not after day 1"), ("today", "a date such as 2024-01-31")):
        with pytest.raises(RunError, match=words):
            series.number(new, asked)
