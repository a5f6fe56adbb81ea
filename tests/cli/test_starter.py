"""The configuration to start from."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from rankup_keras.cli import main
from rankup_keras.cli.checks import load
from rankup_keras.cli.column_roles import Column, Found
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.starter import _feature, batch_size_for, default_path, starter, summary
from rankup_keras.cli.time_columns import FRACTIONS, OWN_FORM
from tests.helpers.cli_inputs import click_table

LABEL = Column("click", "label", "0 and 1")
PRICE = Column("price", "numeric", "fractions")
AD = Column("ad", "categorical", "text", distinct=9)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _written(place, columns, rows=5000, **found):
    text = starter(["a.csv"], Found(columns, rows, "csv", found.pop("csv", {}), [], **found))
    path = place / "a.yaml"
    path.write_text(text)
    load(path)  # refuses what `train` would
    return text, yaml.safe_load(text)


def test_init_asks_for_a_label(place, capfd):
    table = click_table().drop_columns(["label_click"]).append_column("n", pa.array(range(400)))
    pq.write_table(table, place / "none.parquet")
    assert main(["init", "none.parquet"]) == 4
    assert "--label" in capfd.readouterr().err
    assert not (place / "none.yaml").exists()


NEWS = [
    f"0049170{i % 9:04},sport>{'football' if i % 3 else 'tennis'},"
    f'"{{""device"": ""{"ios" if i % 2 else "web"}""}}","[{i % 5}, {i % 7}]",'
    f"{'ja' if i % 4 else 'nein'},{i % 60 * 13 / 10 if i % 2 else i}{'k' if i % 2 else ''},"
    f"{'wahr' if i % 5 < 2 else 'falsch'}\n"
    for i in range(300)
]


def test_a_file_in_forms_of_its_own(place, capfd):
    """Codes keep their zeros, and what cannot be read is named with what would do."""
    header = "phone,category,context,recent,premium,reads,geklickt\n"
    (place / "news.csv").write_text(header + "".join(NEWS))
    assert main(["init", "news.csv"]) == 4
    assert "Of two values: 'category', 'premium', 'geklickt'. " in capfd.readouterr().err
    assert main(["init", "news.csv", "--label", "geklickt=wahr", "--quiet"]) == 0
    text = (place / "news.yaml").read_text()
    features = {item["name"]: item for item in yaml.safe_load(text)["features"]}
    assert features.keys() == {"phone", "category", "premium"}
    assert features["phone"]["dtype"] == "string"
    why = dict(
        line.strip(" #").split(" is left out: ")
        for line in text.splitlines()
        if " left out: " in line
    )
    assert why == {
        "context": "its values are objects as text; write their fields as columns, in pandas "
        "`rows.join(pandas.json_normalize(rows['context'].map(json.loads)))`",
        "recent": "its values are lists as text; write them as `a|b|c`, or in Parquet "
        "`rows['recent'].map(json.loads)`",
        "reads": "its large numbers are shortened, as 1.2k is; write them out, as 1200",
    }


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            ("test", "train", "valid"),
            {"train": ["train"], "validation": ["valid"], "test": ["test"]},
        ),
        (("dev", "training"), {"train": ["training"], "validation": ["dev"]}),
        (("test", "train"), {"train": ["train"], "test": ["test"]}),
        (("test", "valid"), {"train": ["valid"], "validation": ["test"]}),
        (("valid",), None),
    ],
)
def test_a_split_column_gives_the_parts(place, values, parts):
    part = Column("part", "split", "its values", values=values)
    _, config = _written(place, [LABEL, AD, part], csv={"delimiter": ";"})
    assert config["data"]["csv"] == {"delimiter": ";"}
    if parts is None:
        assert config["data"]["split"]["train"] == 0.8
    else:
        assert config["data"]["split"] == {"column": "part", **parts}
    for key in ("early_stopping", "fresh_tables"):
        assert (key in config["training"]) == (parts is None or "validation" in parts)


@pytest.mark.parametrize(("rows", "train"), [(3, None), (400, 0.6), (5000, 0.8)])
def test_few_rows_are_parted_otherwise_or_not_at_all(place, rows, train):
    _, config = _written(place, [LABEL, PRICE], rows)
    assert config["data"].get("split", {}).get("train") == train


def test_a_time_is_offered_for_a_split_that_works(place):
    time = Column(
        "Clicked at", "time", "dates as text", values=("2024-01-08", "2024-01-09 12:00:00")
    )
    text, _ = _written(place, [LABEL, PRICE, time])
    offered = next(line for line in text.splitlines() if "split: {time" in line)
    lines = [line for line in text.splitlines() if "rows at random" not in line]
    path = place / "by_time.yaml"
    path.write_text("\n".join(lines).replace(offered, offered.replace("# ", "", 1)))
    config, _ = load(path)
    assert config.data.split.time == "Clicked at"
    assert config.data.split.test == ["2024-01-09 12:00:00", None]


def test_labels_with_rules_and_names_that_an_export_takes(place):
    labels = [
        Column("Rating", "label", "a rating", positive=">= 4"),
        Column("Clicked on Ad", "label", "0 and 1"),
        Column("点击", "label", "0 and 1"),
        Column("end", "label", "yes and no", positive=["Yes", "yes"]),
    ]
    _, config = _written(place, [*labels, PRICE])
    assert config["tasks"] == [
        {"name": "Rating", "label": {"column": "Rating", "positive": ">= 4"}},
        {"name": "clicked_on_ad", "label": "Clicked on Ad"},
        {"name": "label", "label": "点击"},
        {"name": "end", "label": {"column": "end", "positive": ["Yes", "yes"]}},
    ]


def test_what_cannot_be_trained_on_is_left_out_and_told(place):
    click = Column("click", "label", "0 and 1", missing=7)
    text, config = _written(place, [click, PRICE], bad_rows=2)
    assert config["tasks"] == [{"name": "click", "missing_labels": "skip"}]
    assert "7 of the rows that were looked at lack it" in text
    assert config["data"]["bad_rows"] == {"policy": "skip", "limit": 1000}
    assert "2 lines are malformed" in text


def test_what_is_only_named_like_a_label_is_told(place):
    dull = Column("click", "skip", "it has one value only")
    words = Column("purchase", "categorical", "text", distinct=2)
    with pytest.raises(RunError, match=r"'click' is named like one: it has .*'purchase=<v"):
        _written(place, [dull, words, PRICE])
    with pytest.raises(RunError, match=r"No column can be a feature. All of them are labels\."):
        _written(place, [LABEL])


def test_dates_that_are_not_read_are_not_offered(place):
    for form, told in ((OWN_FORM, "2024-01-31 is read"), (FRACTIONS, "whole numbers are read")):
        text, _ = _written(place, [LABEL, PRICE, Column("day", "time", form)])
        assert told in text
        assert "type: timestamp" not in text


def test_a_user_alone_is_no_side(place):
    user = Column("user_id", "categorical", "text", distinct=9)
    assert "side" not in _written(place, [LABEL, user])[1]["features"][0]
    assert _written(place, [LABEL, user, PRICE])[1]["features"][0]["side"] == "user"


def test_the_name_is_that_of_the_data():
    assert str(default_path("logs/day-*.csv.gz")) == "day.yaml"
    assert str(default_path("*.parquet")) == "config.yaml"


def test_numbers_alone_get_a_model_that_takes_them(place):
    settings = _written(place, [LABEL, PRICE])[1]
    assert settings["model"]["type"] == "DCNv2"
    assert "fresh_tables" not in settings["training"]  # which needs embedding tables


def test_where_a_row_was_shown_is_asked_about(place):
    text, _ = _written(place, [LABEL, PRICE, Column("position", "categorical", "few", distinct=9)])
    assert text.count("is it known before the ranking?") == 1


def test_a_summary_names_what_is_left_out():
    dull = [Column(f"x{i}", "skip", "why") for i in range(12)]
    more = [
        Column("stars", "label", "", positive=">= 4"),
        Column("end", "label", "", positive=["Y", "y"]),
    ]
    found = Found([LABEL, *more, PRICE, *dull], 100, "csv", {}, ["Numbers have decimal commas."])
    rate = "(0.0% positive)"
    assert summary(Path("a.yaml"), found).splitlines() == [
        "Numbers have decimal commas.",
        f"To predict: click {rate}, stars >= 4 {rate}, end = Y or y {rate}",
        "Features: 1 of 16 columns",
        "Left out, the file says why: x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 2 more",
        "Wrote a.yaml. Look it over, then: rankup-keras train a.yaml",
    ]


@pytest.mark.parametrize(("rows", "size"), [(50, 32), (8000, 64), (102_399, 512), (10**9, 1024)])
def test_batches_leave_a_hundred_steps(rows, size):
    assert batch_size_for(rows) == size


def test_a_rating_is_not_the_last_word():
    """Where it alone was taken for a label, columns of two words are named beside it."""
    rating = Column("rating", "label", "a rating up to 5; choose the threshold", positive=">= 4")
    done = Column("done?", "categorical", "text", distinct=2)
    said = summary(Path("a.yaml"), Found([rating, done, AD], 9, "csv", {}, []))
    assert "Of two values: 'done?'. To predict one of these: --label '<column>=<value>'" in said
    assert "Of two" not in summary(Path("a.yaml"), Found([LABEL, done, AD], 9, "csv", {}, []))


def test_histories_are_compared_with_candidates_but_for_those_of_users():
    of_items = Column("seen", "history", "lists of values of 'item'", length=5, of="item")
    of_users = Column("friends", "history", "lists of values of 'user'", length=5, of="user")
    found = [_feature(column, "user")[0] for column in (of_items, of_users)]
    assert ["matches: true" in line for line in found] == [True, False]
