"""Which columns are labels, and which of their values are positive."""

import numpy as np
import pyarrow as pa
import pytest

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.label_columns import find_labels
from rankup_keras.cli.sampling import Sample
from rankup_keras.data.data_error import DataError

ROWS = 100


def _found(asked=(), **columns):
    table = pa.table(columns)
    sample = Sample(table, np.arange(ROWS), ROWS, "a.csv")
    return {label.name: label for label in find_labels(sample, table.column_names, asked)}


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["yes", "no"], "yes"),
        (["Y", "N"], "Y"),
        (["True", "False"], "True"),
        ([True, False], None),
        (["1", "0"], None),
        ([1.0, 0.0], None),
        ([1, -1], "> 0"),
    ],
)
def test_two_values(values, positive):
    found = _found(click=[values[i % 4 > 0] for i in range(ROWS)])["click"]
    assert (found.positive, found.rate) == (positive, pytest.approx(0.25))


def test_a_rating_gets_a_threshold():
    found = _found(user=[f"u{i % 9}" for i in range(ROWS)], rating=[1 + i % 5 for i in range(ROWS)])
    assert found["rating"].positive == ">= 4"
    assert found["rating"].rate == pytest.approx(0.4)


def test_a_label_is_preferred_to_a_rating_and_to_flags():
    flags = {"is_weekend": [i % 2 for i in range(ROWS)], "click": [i % 3 == 0 for i in range(ROWS)]}
    assert list(_found(rating=[1 + i % 5 for i in range(ROWS)], **flags)) == ["click"]


def test_the_only_column_of_two_values_is_one():
    assert list(_found(a=[i / 7 for i in range(ROWS)], outcome=[i % 2 for i in range(ROWS)])) == [
        "outcome"
    ]


def test_an_outcome_is_a_label_alone_or_after_another_label():
    click, other = [i % 2 for i in range(ROWS)], [i % 3 == 0 for i in range(ROWS)]
    booked = [i % 4 == 1 for i in range(ROWS)]
    assert list(_found(clicked=click, booked=booked, subscribed=other)) == ["clicked", "booked"]
    assert list(_found(flag=click, booked=booked)) == ["booked"]


def test_rules_that_are_asked_for():
    columns = {"views": list(range(ROWS)), "end": ["won", "lost"] * 50, "n>=0": [0, 1] * 50}
    found = _found(["views>=90", "end=won", "n>=0"], **columns)
    assert [found[name].positive for name in columns] == [">= 90", "won", None]
    assert found["views"].rate == pytest.approx(0.1)
    assert found["end"].rate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ("views", RunError, "views>=5"),
        ("end", RunError, "which are positive"),
        ("vews>=3", DataError, "no column 'vews' .* The nearest valid name is 'views'"),
        ("end>=4", RunError, "'won' is not a number"),
        ("end=win", RunError, "no row is positive. 'end' has 2 values, such as 'won', 'lost'"),
        ("views>=0", RunError, "every row is positive. 'views' has 100 values, such as '0', '1'"),
    ],
)
def test_what_is_unclear_is_asked(asked, error, words):
    with pytest.raises(error, match=words):
        _found([asked], views=list(range(ROWS)), end=["won", "lost"] * 50)


def test_missing_labels_are_counted():
    found = _found(click=[None if i < 7 else i % 2 for i in range(ROWS)])["click"]
    assert found.missing == 7


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([b"nein", b"ja"], "2 values, such as nein, ja. .* as in --label 'end=ja'\\.$"),
        ([7, 9], "2 values, such as 7, 9. .* as in --label 'end>=9' or --label 'end=9'\\.$"),
    ],
)
def test_a_label_that_needs_a_rule_is_told_one_of_its_own_values(values, wanted):
    with pytest.raises(RunError, match=wanted):
        _found(["end"], end=values * 50)
