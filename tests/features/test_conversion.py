"""Columns as pyarrow has them to those that features declare."""

import dataclasses
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.data import Files
from rankup_keras.features.conversion import Target, convert


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("encoded", [False, True])
def test_hives_mark_of_a_missing_value_is_no_word(tmp_path, name, encoded):
    words = ["a", "\\N", "", "NA"] * 10
    table = pa.table({"word": words, "click": [0, 1] * 20})
    if name.endswith("csv"):
        lines = [f"{word},{number % 2}" for number, word in enumerate(words)]
        (tmp_path / name).write_text("\n".join(["word,click", *lines]) + "\n")
    else:
        pq.write_table(table, tmp_path / name)
    features = rk.FeatureSet([rk.Categorical("word")])
    files = Files(tmp_path / name, features, ["click"])
    rk.data.adapt(features, files)
    dataset = files.dataset(40, encoded=encoded)
    dataset = dataset if encoded else features.encode(dataset)
    ids = next(iter(dataset))[0]["encoded_ids"].numpy()[:, 0]
    # NA is a country.
    assert [*(ids[:4] != 0)] == [True, False, False, True]
    assert features.tables()[0].rows == 2 + 2


def test_decimals_become_ids_without_rounding():
    big = decimal.Decimal(2**60 + 1)
    found, problems = convert(pa.array([big, None]), Target("x", "x", "int64"))
    assert found.to_pylist() == [2**60 + 1, -1]
    assert not problems
    half = pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.0")])
    found, problems = convert(half, Target("x", "x", "int64"))
    assert found.to_pylist() == [-1, 2]
    assert [(p.row, p.reason) for p in problems] == [(0, "Decimal('1.5') is not a 64-bit integer.")]


def test_text_and_numbers_are_read_as_each_other_in_files_only():
    for kind, array in (("string", pa.array([1])), ("int64", pa.array(["1"]))):
        target = Target("x", "x", kind)
        target.check_type(array.type)
        with pytest.raises(TypeError, match="must hold"):
            dataclasses.replace(target, strict=True).check_type(array.type)
        assert len(convert(array, target)[0]) == 1
