"""The configuration to start from."""

import pyarrow.parquet as pq
import pytest
import yaml

from rankup_keras.cli import main
from rankup_keras.cli.column_roles import Column
from rankup_keras.cli.starter import default_path, starter
from tests.helpers.cli_inputs import click_table


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_asks_for_a_label(place, capfd):
    pq.write_table(click_table().drop_columns(["label_click"]), place / "none.parquet")
    assert main(["init", "none.parquet"]) == 4
    assert "--label" in capfd.readouterr().err
    assert not (place / "none.yaml").exists()


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            ("test", "train", "valid"),
            {"train": ["train"], "validation": ["valid"], "test": ["test"]},
        ),
        (("dev", "training"), {"train": ["training"], "validation": ["dev"]}),
        (("test", "valid"), {"train": ["valid"], "validation": ["test"]}),
        (("valid",), None),
    ],
)
def test_a_split_column_gives_the_parts(values, parts):
    columns = [
        Column("click", "label", "0 and 1"),
        Column("price", "numeric", "fractions"),
        Column("part", "split", "its values", values=values),
    ]
    text = starter(["a.csv"], columns, 10, "csv", {"delimiter": ";"})
    data = yaml.safe_load(text)["data"]
    assert data["csv"] == {"delimiter": ";"}
    if parts is None:
        assert data["split"]["train"] == 0.8
    else:
        assert data["split"] == {"column": "part", **parts}


def test_the_name_is_that_of_the_data():
    assert str(default_path("logs/day-*.csv.gz")) == "day.yaml"
    assert str(default_path("*.parquet")) == "config.yaml"


def test_numbers_alone_get_a_model_that_takes_them(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{i % 2},{i * 37 % 1009 / 1009:.4f},{i * 7919 % 999983}" for i in range(500)]
    (tmp_path / "numbers.csv").write_text("\n".join(["click,price,age", *lines]))
    assert main(["init", "numbers.csv", "--label", "click"]) == 0, capfd.readouterr()
    config = yaml.safe_load((tmp_path / "numbers.yaml").read_text())
    assert config["model"]["type"] == "DCNv2"
