"""What columns seem to be, by their names and values."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankup_keras.cli import main
from rankup_keras.cli.column_roles import judge
from rankup_keras.cli.sampling import Sample
from tests.helpers.cli_inputs import click_table

ROWS = 600
rng = np.random.default_rng(0)
CLICKED = rng.integers(0, 2, ROWS)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _json(capfd):
    return json.loads(capfd.readouterr().out)


def judged(labels=("clicked",), text=False, **columns):
    table = pa.table({"clicked": CLICKED, **columns})
    sample = Sample(table, np.arange(ROWS), ROWS, "a.parquet")
    return {column.name: column for column in judge(sample, labels, text)}


def _role(column, text=False):
    found = judged(text=text, column=column)["column"]
    return found.role, found.dtype


def test_init_leaves_out_what_tells_the_label(place, capfd):
    table = click_table().append_column("bought", click_table()["label_click"])
    pq.write_table(table, place / "leak.parquet")
    assert main(["init", "leak.parquet", "--label", "label_click", "--json"]) == 0
    assert _json(capfd)["columns"]["bought"] == "skip"


def test_init_takes_no_other_label_for_a_feature(place, capfd):
    """One that tells much of the label, but not all of it."""
    other = pa.array(np.random.default_rng(1).integers(0, 2, 400))
    pq.write_table(click_table().append_column("label_rated", other), place / "two.parquet")
    assert main(["init", "two.parquet", "--label", "label_click", "--json"]) == 0
    found = _json(capfd)["columns"]
    assert (found["label_click"], found["label_rated"]) == ("label", "skip")


def test_roles_by_name_and_values():
    columns = {
        "likes": [i % 30 for i in range(ROWS)],
        "age": [20 + i % 3 for i in range(ROWS)],
        "city": [["Rome", "Oslo"][label] for label in CLICKED],
        "ratio": [i / 7 for i in range(ROWS)],
        "vector": [[1.0, float(i)] for i in range(ROWS)],
        "ragged": [[1.0] * (i % 3) for i in range(ROWS)],
        "constant": [1] * ROWS,
        "empty": pa.nulls(ROWS),
    }
    assert {name: column.role for name, column in judged(**columns).items()} == {
        "clicked": "label",
        "likes": "categorical",
        "age": "numeric",
        "city": "skip",  # it is the label in other words
        "ratio": "numeric",
        "vector": "vector",
        "ragged": "skip",
        "constant": "skip",
        "empty": "skip",
    }
    # A name like a label's is not enough where the values are not 0 and 1.
    found = judged(labels=(), **columns)
    assert [name for name, column in found.items() if column.role == "label"] == ["clicked"]


def test_numbers_in_text():
    values = {
        "a": [f"{i / 4}" for i in range(ROWS)],
        "b": ["NA" if i % 5 else f"{i / 3}" for i in range(ROWS)],
        "c": [f"x{i % 3}" for i in range(ROWS)],
    }
    found = judged(text=True, **values)
    assert [found[name].role for name in "abc"] == ["numeric", "numeric", "categorical"]


@pytest.mark.parametrize(
    "column",
    [
        [f"request-{i:x}" for i in range(ROWS)],
        list(range(ROWS)),
        list(range(7, 7 + ROWS)),
        (2**60 + rng.permutation(ROWS)).tolist(),
    ],
    ids=["text", "index", "counter", "snowflake"],
)
def test_what_names_rows_is_left_out(column):
    assert _role(column)[0] == "skip"
    assert "row" in judged(column=column)["column"].why


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__", "index"])
def test_the_index_of_pandas_is_left_out(name):
    assert "index" in judged(**{name: np.arange(ROWS)})[name].why


def test_codes_and_counts():
    codes = rng.integers(10_000, 10**6, 40)[np.minimum(rng.zipf(1.5, ROWS) - 1, 39)]
    assert _role(codes) == ("categorical", "int64")
    assert _role([str(code) for code in codes], text=True) == ("categorical", "string")
    counts = (rng.geometric(0.2, ROWS) ** 3).tolist()
    assert _role(counts)[0] == "numeric"
    assert _role(rng.integers(10_000, 10**6, ROWS))[0] == "numeric"
    seconds = rng.integers(0, ROWS, ROWS) % (ROWS // 2)  # close together, as ids would be
    assert judged(seconds_listened=seconds)["seconds_listened"].role == "numeric"
    # -1 would be read as a missing id.
    assert _role([i % 7 - 1 for i in range(ROWS)])[1] == "string"


def test_what_would_make_a_column_a_feature_is_told():
    ages = [["17", "28", "unknown"][i % 5 // 2] for i in range(ROWS)]
    nested = [f"[[{i % 3}]]" for i in range(ROWS)]
    found = judged(text=True, age=ages, nested=nested, deep=[[[i % 3]] for i in range(ROWS)])
    assert "numbers but for 'unknown'" in found["age"].why
    assert "one list per row" in found["nested"].why
    assert "one list per row" in found["deep"].why


def test_thousands_separators_are_told():
    """As a category they would say little, and as fractions something else."""
    for values in (
        ["1,234.5", "12", "999"],
        ["1.234.567,5", "12,5"],
        ["1,234", "56,789"],
        ["532", "1.234"],
    ):
        found = judged(text=True, amount=[values[i % len(values)] for i in range(ROWS)])["amount"]
        assert (found.role, "without thousands separators" in found.why) == ("skip", True)
    codes = judged(text=True, code=[["a,b", "1,234"][i % 2] for i in range(ROWS)])["code"]
    assert codes.role == "categorical"
    for values in (["2", "1.5", "1.234"], ["2", "0.125"], ["1.234", "2.345"]):
        found = judged(text=True, amount=[values[i % len(values)] for i in range(ROWS)])["amount"]
        assert found.role != "skip"


def test_text_with_commas_is_no_number_or_list_in_silence():
    places = ["Paris, France", "Rome, Italy", "Bonn, Germany"]
    found = judged(text=True, place=[places[i % 3] for i in range(ROWS)])["place"]
    assert (found.role, "list_separator" in found.why) == ("categorical", True)


def test_a_session_is_left_out_and_offered_for_the_split():
    sessions = [f"s{i // 5}" for i in range(ROWS)]
    found = judged(session_id=sessions, user_id=sessions, request_type=sessions)
    assert {name: column.role for name, column in found.items() if name != "clicked"} == {
        "session_id": "skip",
        "user_id": "categorical",
        "request_type": "categorical",
    }
    assert "`by: session_id` within `split`" in found["session_id"].why


def test_amounts_with_a_currency_are_left_out_unless_they_are_few():
    prices = [f"EUR {i / 7:.2f}" for i in range(ROWS)]
    found = judged(text=True, price=prices, tier=[prices[i % 9] for i in range(ROWS)])
    assert (found["price"].role, found["tier"].role) == ("skip", "categorical")
    assert "a unit, as in 'EUR 0.00'" in found["price"].why


@pytest.mark.parametrize("text", [True, False])
def test_a_later_label_is_offered_as_a_task(text):
    won = CLICKED * (np.arange(ROWS) % 3 == 0)
    found = judged(won=pa.array([b"%d" % v for v in won]) if text else won)["won"]
    assert (found.role, "give --label won as well" in found.why) == ("skip", True)


@pytest.mark.parametrize(("value", "way"), [("['a', '%s']", "a|b|c"), ('{"os": "%s"}', "fields")])
def test_lists_and_objects_in_text_are_left_out_with_the_way(value, way):
    found = judged(text=True, x=[value % (i % 9) for i in range(ROWS)])["x"]
    assert (found.role, way in found.why) == ("skip", True)
