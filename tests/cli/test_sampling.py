"""Rows from all over the files."""

import pyarrow as pa
import pyarrow.parquet as pq

from rankup_keras.cli import sampling
from rankup_keras.cli.column_roles import read_columns
from rankup_keras.data.parquet_source import ParquetSource


def test_a_split_column_of_a_sorted_file_is_found(tmp_path):
    parts = ["train"] * 48_000 + ["valid"] * 6_000 + ["test"] * 6_000
    lines = [f"u{i % 97},i{i % 89},{i * 7919 % 13 % 2},{part}" for i, part in enumerate(parts)]
    (tmp_path / "sorted.csv").write_text("user,item,click,part\n" + "\n".join(lines) + "\n")
    found = read_columns([tmp_path / "sorted.csv"], None, {}, [])
    assert found.rows == 60_000
    assert found.columns[3].values == ("test", "train", "valid")


def test_columns_of_one_name_are_told(tmp_path):
    lines = [f"u{i % 7},{i % 5},u{i % 7},{i % 2}" for i in range(200)]
    (tmp_path / "a.csv").write_text("user,ad,user,click\n" + "\n".join(lines))
    rows = [pa.array(["u"] * 9), pa.array([1, 2, 3] * 3), pa.array([0, 1, 1] * 3)]
    table = pa.table([rows[0], rows[1], rows[0], rows[2]], names=["user", "ad", "user", "click"])
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        columns = read_columns([tmp_path / name], None, {}, []).columns
        assert [column.name for column in columns] == ["ad", "click", "user"]
        assert "several columns" in columns[-1].why


def test_rows_of_all_files_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "SAMPLE", 50)
    files = [tmp_path / f"{name}.parquet" for name in "abc"]
    for number, file in enumerate(files):
        rows = [1000 * number + i for i in range(300)]
        words = pa.array([f"w{i % 3}" for i in rows]).dictionary_encode()
        pq.write_table(pa.table({"row": rows, "word": words}), file, row_group_size=100)
    source = ParquetSource()
    sample = sampling.draw(source, files, source.schema(files[0]))
    rows = sample.array("row").to_pylist()
    assert (len(rows), sample.rows, sample.whole) == (50, 900, False)
    assert rows == sorted(rows)
    assert {row // 1000 for row in rows} == {0, 1, 2}
    assert [row // 1000 * 300 + row % 1000 for row in rows] == sample.places.tolist()
    assert sample.array("word").to_pylist() == [f"w{row % 3}" for row in rows]
