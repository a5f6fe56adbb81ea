"""The order in which rows leave their files."""

import pytest

from rankup_keras.data import Files
from tests.helpers.data_files import (
    make_columns,
    make_features,
    write_parquet,
)


def test_shuffles_by_seed_and_epoch(tmp_path):
    for part in range(3):
        columns = make_columns(200, seed=part)
        columns["row"] = [part * 200 + i for i in range(200)]
        write_parquet(tmp_path / f"{part}.parquet", columns, row_group_size=50)
    files = Files(tmp_path, make_features(), ["click"])

    def order(epochs=1, **kwargs):
        dataset = files.dataset(32, shuffle=True, shuffle_rows=150, **kwargs)
        return [
            [int(row) for columns, _ in dataset for row in columns["row"]] for _ in range(epochs)
        ]

    first, second = order(epochs=2, seed=1)
    assert sorted(first) == sorted(second) == list(range(600))
    assert first != second
    assert order(epochs=2, seed=1) == [first, second]
    assert order(seed=2) != [first]
    assert order(seed=1, first_epoch=1) == [second]
    assert order(seed=1, skip_batches=5) == [first[5 * 32 :]]
    # Iterators count that nobody reads from: a resumed training makes those of epochs behind it.
    dataset = files.dataset(32, shuffle=True, shuffle_rows=150, seed=1)
    unread = iter(dataset)
    assert [int(row) for columns, _ in dataset for row in columns["row"]] == second
    del unread
    # Rows of several files are near one another from the start.
    assert len({row // 200 for row in first[:64]}) == 3


@pytest.mark.parametrize("workers", [2, 7])
def test_shards_part_the_rows(tmp_path, workers):
    columns = make_columns(300)
    # Two workers take row groups, seven find too few of them and share rows.
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=60)
    files = Files(path, make_features(), ["click"])
    seen = []
    for worker in range(workers):
        tables = list(files.tables(64, shuffle=True, shard=(worker, workers)))
        assert tables
        seen += [row for table in tables for row in table["feature/row"].to_pylist()]
    assert sorted(seen) == columns["row"]
