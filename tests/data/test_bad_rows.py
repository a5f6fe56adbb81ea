"""Bad rows that are left out, over several runs."""

import json

import pytest

import rankup_keras as rk
from rankup_keras.data import BadRows, DataError, Files
from tests.helpers.data_files import (
    write_parquet,
)


def test_a_run_that_goes_on_keeps_the_rows_of_the_first(tmp_path):
    path = tmp_path / "bad.jsonl"
    BadRows("skip", limit=2, path=path).report("a.csv", 3, "x", "?", "No number.")
    again = BadRows("skip", limit=2, path=path)
    again.take_up()
    assert again.count == 1
    again.report("a.csv", 3, "x", "?", "No number.")
    again.report("a.csv", 4, "x", "!", "No number.")
    assert again.count == len(path.read_text().splitlines()) == 2


def test_bad_rows_are_left_out_counted_and_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        'user,price,click\na,1,0\nb,x,1\nc,3,2\n\nd,4,1,9\ne,5,\nuser,price,click\nf,"6,1\ng,7,1\n'
    )
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5), rk.Numeric("price")])
    bad = BadRows("skip", path=tmp_path / "bad.jsonl")
    files = Files(path, features, ["click"], bad_rows=bad)
    for _ in range(2):
        assert [v for c, _ in files.dataset(9) for v in c["user"].numpy()] == [b"a", b"g"]
    assert bad.count == 6
    records = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert sorted((r["line"], r["column"]) for r in records if r["column"]) == [
        (3, "price"), (4, "click"), (7, "click"),
    ]  # fmt: skip
    assert sorted(r["line"] for r in records) == [3, 4, 6, 7, 8, 9]
    strict = Files(path, features, ["click"], bad_rows=BadRows("skip", limit=3))
    with pytest.raises(DataError, match="the limit is 3"):
        list(strict.tables(9))


def test_an_error_names_file_line_column_and_value(tmp_path):
    columns = {"user": ["a", "b", "c"], "click": [0, 3, 1]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    with pytest.raises(
        DataError, match=r"a\.parquet, line 2, column 'click': The value is 3"
    ) as info:
        list(Files(path, features, ["click"]).tables(9))
    assert (info.value.line, info.value.column, info.value.value) == (2, "click", 3)
