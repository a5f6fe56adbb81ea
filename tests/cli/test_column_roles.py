"""What columns seem to be, by their names and values."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankup_keras.cli import main
from rankup_keras.cli.column_roles import read_columns
from rankup_keras.data.csv_options import CsvOptions
from tests.helpers.cli_inputs import click_table


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _json(capfd):
    return json.loads(capfd.readouterr().out)


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


def test_roles_by_name_and_values(place):
    rows = 600
    clicked = np.random.default_rng(0).integers(0, 2, rows)
    table = {
        "clicked": clicked,
        "likes": [i % 30 for i in range(rows)],
        "age": [20 + i % 3 for i in range(rows)],
        "city": [["Rome", "Oslo"][label] for label in clicked],
        "ratio": [i / 7 for i in range(rows)],
        "vector": [[1.0, float(i)] for i in range(rows)],
        "ragged": [[1.0] * (i % 3) for i in range(rows)],
        "constant": [1] * rows,
        "empty": pa.nulls(rows),
    }
    pq.write_table(pa.table(table), place / "a.parquet")
    columns, found, kind = read_columns(["a.parquet"], None, CsvOptions(), ["clicked"])
    assert (found, kind) == (rows, "parquet")
    assert {column.name: column.role for column in columns} == {
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
    columns, _, _ = read_columns(["a.parquet"], None, CsvOptions(), [])
    assert [column.name for column in columns if column.role == "label"] == ["clicked"]


def test_numbers_in_text(place):
    labels = np.random.default_rng(0).integers(0, 2, 600)
    lines = [f"{y},{i / 4},{'NA' if i % 5 else i / 3},x{i % 3}" for i, y in enumerate(labels)]
    (place / "a.csv").write_text("label,a,b,c\n" + "\n".join(lines) + "\n")
    columns, _, _ = read_columns(["a.csv"], None, CsvOptions(), ["label"])
    assert [column.role for column in columns] == ["label", "numeric", "numeric", "categorical"]
