"""Numbers in text that are not read as numbers."""

import numpy as np
import pyarrow as pa
import pytest

from rankup_keras.cli.amounts import (
    grouped,
    mark_of_missing,
    numbers_but_for,
    shortened,
    with_units,
)


@pytest.mark.parametrize(
    "values",
    [
        ["EUR 76.38", "USD 1,200.00", "GBP 9"],
        ["€12", "€ 1.200", "$-3"],
        ["€12.50"] * 12 + ["-"],
        ["12 %", "7.5%", "NA"],
        ["1.5 kg", "12 kg"],
    ],
)
def test_units(values):
    assert with_units(values)


@pytest.mark.parametrize(
    "values",
    [["ABC 123", "XYZ 77"], ["10115", "99"], ["12a", "13b"], ["EUR 1.5", "many"], ["v1.2", "u3.4"]],
)
def test_codes_have_none(values):
    assert not with_units(values)


@pytest.mark.parametrize(
    ("values", "short"),
    [
        (["1.2k", "15", "3M", ""], True),
        (["2,5 Mio.", "900"], True),
        (["12k", "13k"], False),  # perhaps codes
        (["1.2", "15"], False),
        (["1.2k", "many"], False),
    ],
)
def test_shortened_numbers(values, short):
    assert shortened(values) is short


def test_thousands_separators():
    assert grouped(pa.array(["1,234", "56", "NA", None]))
    assert not grouped(pa.array(["12", "56"]))
    assert not grouped(pa.array(["1,234", "a"]))


def test_words_among_numbers():
    ages = ["17", "18.5", "NA", None] * 9
    assert numbers_but_for(pa.array([*ages, "unknown", " - "])) == ["-", "unknown"]
    assert numbers_but_for(pa.array(ages)) == []
    assert numbers_but_for(pa.array(["17", "many", "few"])) == []
    assert numbers_but_for(pa.array([*ages, *"abcdef"])) == []


def test_a_number_that_stands_for_no_value():
    ages = np.array([31.0, 64.0, 17.0] * 9)
    assert "if -999 (10% of rows) stands" in mark_of_missing(np.r_[ages, [-999] * 3])
    assert mark_of_missing(np.r_[ages, -5, -999]) == ""  # negative numbers as others are
    assert mark_of_missing(ages) == ""
