import numpy as np
import pytest

from rankup_keras.datasets import movielens_100k, movielens_sources
from rankup_keras.datasets.movielens import make_splits
from rankup_keras.datasets.movielens_files import read_tables
from tests.helpers import movielens


@pytest.fixture
def tables(tmp_path):
    return read_tables(movielens.write_recbole(tmp_path / "recbole"))


def together(splits):
    """All rows of the splits as a list of dicts, with labels."""
    rows = []
    for part in (splits.train, splits.valid, splits.test):
        columns = {**part.columns, **part.labels}
        rows += [
            {name: column[i].tolist() for name, column in columns.items()}
            for i in range(part.num_rows)
        ]
    return rows


def row_of(splits, user, item):
    found = [r for r in together(splits) if (r["user_id"], r["item_id"]) == (user, item)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("split", ["random", "time"])
def test_every_row_is_in_one_split(tables, split):
    splits = make_splits(tables, split, seed=0, history=3)
    assert [p.num_rows for p in (splits.train, splits.valid, splits.test)] == [8, 1, 1]
    seen = sorted((int(r["user_id"]), int(r["item_id"])) for r in together(splits))
    assert seen == sorted(row[:2] for row in movielens.RATINGS)


def test_attributes_labels_and_history(tables):
    row = row_of(make_splits(tables, "time", seed=0, history=3), "1", "13")
    statistics = {name: row.pop(name) for name in ("user_count", "user_mean")}
    assert statistics == {"user_count": 3.0, "user_mean": 4.0}
    assert row == {
        "user_id": "1",
        "age": 24.0,
        "gender": "M",
        "occupation": "technician",
        "zip_code": "85711",
        "zip3": "857",
        "item_id": "13",
        "movie_title": "Land Before Time III",
        "release_year": "1995",
        "genres": ["Animation", "", ""],
        "timestamp": 881260000,
        "hour": "18",
        "weekday": "Thu",
        "history": ["12", "11", "14"],
        "item_count": 2.0,
        "item_mean": 2.5,
        "like": 0.0,
        "love": 0.0,
    }


def test_rows_of_one_second_do_not_see_each_other(tables):
    splits = make_splits(tables, "time", seed=0, history=2)
    for item in ("11", "14"):
        assert row_of(splits, "1", item)["history"] == ["12", ""]


def test_labels(tables):
    splits = make_splits(tables, "random", seed=0, history=0)
    ratings = {(str(u), str(i)): r for u, i, r, _ in movielens.RATINGS}
    for row in together(splits):
        rating = ratings[row["user_id"], row["item_id"]]
        assert (row["like"], row["love"]) == (float(rating >= 4), float(rating == 5))
        assert "history" not in row


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("split", ["random", "time"])
def test_no_rating_outside_train_is_in_any_column(tables, split, seed):
    before = make_splits(tables, split, seed, history=3)
    hidden = {
        (int(u), int(i))
        for part in (before.valid, before.test)
        for u, i in zip(part.columns["user_id"], part.columns["item_id"], strict=True)
    }
    for line in tables.ratings:
        if (line[0], line[1]) in hidden:
            line[2] = 6 - line[2]
    after = make_splits(tables, split, seed, history=3)
    for part in ("train", "valid", "test"):
        for name, column in getattr(before, part).columns.items():
            np.testing.assert_array_equal(column, getattr(after, part).columns[name], err_msg=name)


def test_seed_decides_the_random_split(tables):
    def train(seed):
        splits = make_splits(tables, "random", seed, history=0)
        return splits.train.columns["timestamp"].tolist()

    assert train(0) == train(0)
    assert train(0) != train(1)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder that passes for the whole data set."""
    folder = movielens.write_grouplens(tmp_path / "mine")
    for table, checksum in read_tables(folder).checksums().items():
        monkeypatch.setitem(movielens_sources.CHECKSUMS, table, checksum)
    return folder


def test_one_call(small, capsys):
    splits = movielens_100k(source=small, history=4)
    printed = capsys.readouterr().out
    assert "GroupLens" in printed
    assert "no\nredistribution" in printed
    assert f"the copy at {small}" in printed
    assert splits.train.columns["history"].shape == (8, 4)
    assert splits.train.columns["age"].dtype == np.float32
    movielens_100k(source=small, verbose=False)
    assert capsys.readouterr().out == ""


def test_wrong_arguments(small):
    with pytest.raises(ValueError, match="split='weekly'"):
        movielens_100k(split="weekly", source=small)
    with pytest.raises(ValueError, match="history=-1"):
        movielens_100k(history=-1, source=small)
