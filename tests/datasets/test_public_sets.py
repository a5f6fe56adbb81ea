"""Public sets, read from tiny files in their exact formats."""

import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.data import DataError
from tests.helpers import public_sets as tiny


def _first(files, size=1000):
    columns, labels = next(iter(files.dataset(size)))
    return {k: v.numpy() for k, v in columns.items()}, {k: v.numpy() for k, v in labels.items()}


def _rows(*files):
    return [sum(table.num_rows for table in part.tables(1000)) for part in files]


def _trains(data):
    data.adapt()
    model = rk.DLRM(data.features, data.tasks, embedding_dim=4, bottom_units=(8,), top_units=(8,))
    model.compile()
    history = model.fit(data.train.dataset(64, shuffle=True), epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])


@pytest.mark.parametrize("zipped", [False, True])
def test_criteo(tmp_path, zipped):
    name = "train.txt.gz" if zipped else "train.txt"
    path = tiny.write_criteo(tmp_path / name, zipped=zipped)
    data = rk.datasets.criteo(path, min_count=2)
    assert sum(_rows(data.train, data.valid, data.test)) == 200
    columns, labels = _first(data.train)
    assert set(columns) == {*(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))}
    assert set(np.unique(labels["label"])) == {0.0, 1.0}
    assert np.isnan(columns["I1"]).any()
    assert b"" in columns["C1"]
    if not zipped:
        _trains(data)


def test_days_of_criteo(tmp_path):
    for day, rows in ((0, 30), (2, 20), (10, 40)):
        tiny.write_criteo(tmp_path / f"day_{day}", rows=rows, seed=day)
    data = rk.datasets.criteo(tmp_path, hash_buckets=50)
    assert [path.name for path in data.train.paths] == ["day_0", "day_2"]
    train, valid, test = _rows(data.train, data.valid, data.test)
    assert train == 50
    assert valid + test == 40
    assert min(valid, test) > 10


@pytest.mark.parametrize("split", ["random", "time"])
def test_avazu(tmp_path, split):
    data = rk.datasets.avazu(tiny.write_avazu(tmp_path / "train.csv"), split, min_count=2)
    rows = _rows(data.train, data.valid, data.test)
    assert sum(rows) == 200
    if split == "time":
        assert rows == [160, 20, 20]
    columns, _ = _first(data.train)
    hours = {value.decode() for value in columns["hour_of_day"]}
    assert hours <= {f"{hour:02d}" for hour in range(24)}
    if split == "time":
        # The 21st of October 2014 was a Tuesday.
        assert columns["weekday"][0] == b"1"


def test_frappe(tmp_path):
    data = rk.datasets.frappe(tiny.write_frappe(tmp_path))
    assert _rows(data.train, data.valid, data.test) == [60, 60, 60]
    columns, labels = _first(data.train)
    assert set(np.unique(labels["used"])) == {0.0, 1.0}
    assert columns["user"].dtype == np.int64
    assert columns["item"].min() >= 10


def test_movielens_1m(tmp_path):
    data = rk.datasets.movielens_1m(tiny.write_movielens_1m(tmp_path / "ml-1m"), split="time")
    assert _rows(data.train, data.valid, data.test) == [48, 6, 6]
    columns, labels = _first(data.train)
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
    assert sum(_rows(data.train, data.valid, data.test)) == 80
    columns, labels = _first(data.train)
    years = dict(zip(columns["movieId"], columns["release_year"], strict=True))
    assert years == {b"1": b"1995", b"2": b"1995", b"3": b"2001", b"4": b""}
    assert labels["like"].mean() > labels["love"].mean() > 0
    _trains(data)


@pytest.mark.parametrize("random_exposures", [False, True])
def test_kuairand(tmp_path, random_exposures):
    folder = tiny.write_kuairand(tmp_path / "KuaiRand-Pure" / "data")
    data = rk.datasets.kuairand(folder.parent, random_exposures=random_exposures)
    train, valid, test = _rows(data.train, data.valid, data.test)
    assert train == 40
    assert test == 20 if random_exposures else valid + test == 40
    columns, labels = _first(data.train)
    assert columns["hour"][:3].tolist() == [b"0", b"11", b"22"]
    assert columns["follow_user_num_range"][0] == b"(0,10]"
    assert list(columns["tag"][1]) == [b"1", b"2"]
    assert list(columns["tag"][5]) == [b"", b""]  # a video that the table lacks
    assert np.isnan(columns["video_duration"][5])
    assert set(labels) == {"is_click", "is_like", "long_view"}


def test_ali_ccp(tmp_path):
    data = rk.datasets.ali_ccp(tiny.write_ali_ccp(tmp_path), min_count=1)
    train, valid, test = _rows(data.train, data.valid, data.test)
    assert train == 30
    assert valid + test == 20
    columns, labels = _first(data.train)
    assert columns["101"][:4].tolist() == [b"0", b"1", b"2", b"0"]
    assert columns["205"][:3].tolist() == [b"0", b"1", b"2"]
    assert list(columns["210"][0]) == [b"4", b"5"]
    assert list(columns["109_14"][1]) == [b"2", b"3"]
    assert list(columns["109_14"][0]) == [b"1", b""]
    assert columns["301"][0] == b""
    np.testing.assert_array_equal(labels["buy"] <= labels["click"], True)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no train\.txt or train\.tsv"):
        rk.datasets.criteo(tmp_path)
    with pytest.raises(ValueError, match='`split` must be "random" or "time"'):
        rk.datasets.avazu(tmp_path, split="day")
    with pytest.raises(ValueError, match="`tasks` must be among"):
        rk.datasets.kuairand(tmp_path, tasks=("click",))
