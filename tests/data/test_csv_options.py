"""How text files are written."""

import pytest

from rankup_keras.data import CsvOptions


def test_defaults_follow_the_format():
    csv, tsv = CsvOptions().for_format("csv"), CsvOptions().for_format("tsv")
    assert (csv.delimiter, csv.quote) == (",", '"')
    assert (tsv.delimiter, tsv.quote) == ("\t", None)
    kept = CsvOptions(delimiter=";", quote="'").for_format("tsv")
    assert (kept.delimiter, kept.quote) == (";", "'")


def test_columns_that_cannot_be():
    with pytest.raises(ValueError, match="`columns` must name the columns"):
        CsvOptions(header=False)
    with pytest.raises(ValueError, match=r"Duplicates: \['a'\]"):
        CsvOptions(columns=["a", "b", "a"])


def test_an_encoding_that_nobody_knows():
    with pytest.raises(ValueError, match="Received: encoding='utf9'"):
        CsvOptions(encoding="utf9")
