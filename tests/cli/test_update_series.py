"""The series of days, and which day comes next."""

import json

import pytest

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.update_series import Series

FIRST, SECOND = ["a.parquet", 1, 2, 3], ["b.parquet", 4, 5, 6]


def holds_rows(path):
    return True


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
    copied = ["/elsewhere/a.parquet", 1, 99, 3]  # with the time of the copy
    for same in (moved, copied):
        assert series.trained_on([same], None, holds_rows)["day"] == 1
    assert series.trained_on([moved], "1", holds_rows)["day"] == 1
    assert series.trained_on([SECOND], None, holds_rows) is None  # that day was refused
    with pytest.raises(RunError, match=r"/elsewhere/a.parquet was trained on already"):
        series.trained_on([copied, SECOND], None, holds_rows)
    with pytest.raises(RunError, match="as a file of day 1"):
        series.trained_on([moved], "5", holds_rows)
    with pytest.raises(RunError, match=r"x.parquet has the same rows as b.parquet"):
        series.trained_on([SECOND, ["x.parquet", *SECOND[1:]]], None, holds_rows)
    # Files without rows are alike.
    assert series.trained_on([moved, copied, SECOND], None, lambda path: False) is None


@pytest.mark.parametrize(("split", "refused"), [(None, True), ({"time": "t"}, False)])
def test_files_of_the_training_are_refused(series, split, refused):
    state = {"data": {"files": {"train": [SECOND]}, "split": split}}
    checkpoint = series.run.checkpoints / "checkpoint-00000003"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps(state))
    if refused:
        with pytest.raises(RunError, match="by `rankup-keras train`"):
            series.trained_on([SECOND], None, holds_rows)
    else:
        assert series.trained_on([SECOND], None, holds_rows) is None


def test_what_is_lost_or_damaged_is_named(series):
    run = series.run
    run.summary.write_text(json.dumps({"day": 1}))
    with pytest.raises(RunError, match=r"ledger.parquet does not hold .* up to day 1"):
        series.check_whole()
    run.ledger.write_bytes(b"PAR")
    series.check_whole()
    with pytest.raises(RunError, match=r"ledger.parquet is damaged"):
        run.read_ledger()
    run.days.write_text("{")
    with pytest.raises(RunError, match=r"days.jsonl is damaged"):
        Series(run)
    run.days.unlink()
    with pytest.raises(RunError, match=r"days.jsonl does not hold"):
        Series(run).check_whole()


def test_numbers(series):
    new = [["c.parquet", 7, 8, 9]]
    assert series.number(new, None) == (3, {})
    assert series.number([SECOND], None) == (2, {"date": "1970-01-03"})
    assert series.number(new, "2") == (2, {})
    assert series.number(new, "2024-01-31") == (19753, {"date": "2024-01-31"})
    for asked, words in (
        ("1", "not after day 1"),
        ("today", "a date such as 2024-01-31"),
        ("2147483648", "below 2,147,483,648"),
    ):
        with pytest.raises(RunError, match=words):
            series.number(new, asked)
