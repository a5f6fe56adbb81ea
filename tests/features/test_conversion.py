"""Columns as pyarrow has them to those that features declare."""

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.data import Files
from rankup_keras.features.conversion import convert
from rankup_keras.features.target import Target


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


def test_floats_are_ids_where_they_are_exact():
    for kind, limit in ((pa.float64(), 2**53), (pa.float32(), 2**24)):
        array = pa.array([limit - 1, 1 - limit, None, limit], kind)
        found, problems = convert(array, Target("x", "x", "int64"))
        assert found.to_pylist() == [limit - 1, 1 - limit, -1, -1]
        assert [problem.row for problem in problems] == [3]
        assert problems[0].reason.startswith(f"{limit} comes as a {kind}, which is exact below")


def test_a_list_in_brackets_is_no_value():
    rows = pa.array(["a|b", "[1, 2]", None, "['a']", "(none)|[b]", "(c, d)"])
    found, problems = convert(rows, Target("x", "x", "string", "list"), "|")
    assert found.to_pylist() == [[b"a", b"b"], [], [], [], [b"(none)", b"[b]"], [b"(c, d)"]]
    assert [problem.row for problem in problems] == [1, 3]
    assert "'[1, 2]' is a list in brackets; write its values with '|' between" in problems[0].reason


def test_views_of_lists_and_tensors_in_files(tmp_path):
    words = pa.array([["a", "b"], [], ["b"]], pa.large_list_view(pa.string()))
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(vectors)
    pq.write_table(pa.table({"words": words, "vector": tensors}), tmp_path / "a.parquet")
    word = rk.Categorical("words", vocabulary=["a", "b"], max_length=2)
    features = rk.FeatureSet([word, rk.Pretrained("vector", dim=2)]).adapt({})
    (batch,) = Files(tmp_path, features).dataset(8, encoded=True)
    assert batch["encoded_ids"].numpy().tolist() == [[2, 3], [0, 0], [3, 0]]
    assert batch["encoded_vectors"].numpy().tolist() == vectors.tolist()
