"""MovieLens: tiny files in the exact formats."""

import numpy as np

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import check_training, count_rows, first_batch


def test_movielens_1m(tmp_path):
    data = rk.datasets.movielens_1m(tiny.write_movielens_1m(tmp_path / "ml-1m"), split="time")
    assert count_rows(data.train, data.valid, data.test) == [48, 6, 6]
    columns, labels = first_batch(data.train)
    first = {name: column[0] for name, column in columns.items()}
    assert first["userId"] == b"1"
    assert first["gender"] == b"F"
    assert first["release_year"] == b"1995"
    assert list(first["genres"]) == [b"Animation", b"Children's", b"Comedy"]
    # Films that the table lacks have no genre and no year.
    unknown = columns["movieId"] == b"4"
    assert set(columns["release_year"][unknown]) == {b""}
    assert set(columns["zip3"]) == {b"480", b"700", b"551"}
    np.testing.assert_array_equal(labels["love"] <= labels["like"], True)
    assert labels["like"][:5].tolist() == [0, 1, 0, 1, 0]


def test_movielens_20m(tmp_path):
    data = rk.datasets.movielens_20m(tiny.write_movielens_20m(tmp_path / "ml-20m"))
    assert sum(count_rows(data.train, data.valid, data.test)) == 80
    columns, labels = first_batch(data.train)
    years = dict(zip(columns["movieId"], columns["release_year"], strict=True))
    assert years == {b"1": b"1995", b"2": b"1995", b"3": b"2001", b"4": b""}
    assert labels["like"].mean() > labels["love"].mean() > 0
    check_training(data)
