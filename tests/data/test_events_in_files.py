"""Events in files of every format are those of the same rows in memory."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.cli.settings import Config
from rankup_keras.data import BadRows, DataError, Files
from tests.helpers.data_files import write_csv, write_parquet, write_tfrecord

ROWS = 60
EVENTS = {
    "name": "clicks",
    "ids": {"clicked": "item", "of_tag": "tag", "kind": ["view", "buy"]},
    "max_length": 4,
    "time": "at",
    "request_time": "now",
    "actions": {"bits": 2},
    "numbers": {"dwell": "log"},
}


def make_columns():
    rng = np.random.default_rng(0)
    counts = [0, 9, 1, *rng.integers(0, 9, ROWS - 3)]

    def lists(draw):
        return [draw(n) for n in counts]

    return {
        "item": [f"i{n}" for n in rng.integers(0, 9, ROWS)],
        "tag": rng.integers(0, 9, ROWS).tolist(),
        "now": rng.integers(500, 900, ROWS).tolist(),
        "clicked": lists(lambda n: [f"i{k}" for k in rng.integers(0, 12, n)]),
        "of_tag": lists(lambda n: rng.integers(0, 12, n).tolist()),
        "kind": lists(lambda n: rng.choice(["view", "buy", "else"], n).tolist()),
        # Some are not before the request.
        "at": lists(lambda n: np.sort(rng.integers(0, 700, n)).tolist()),
        "bits": lists(lambda n: rng.integers(0, 4, n).tolist()),
        "dwell": lists(lambda n: rng.random(n).astype("float32").tolist()),
        "click": rng.integers(0, 2, ROWS).tolist(),
    }


def make_features():
    return rk.FeatureSet(
        [
            rk.Categorical("item"),
            rk.Categorical("tag", dtype="int64", hash_buckets=30, num_hashes=2),
            rk.Timestamp("now"),
            rk.Events(**EVENTS),
        ]
    )


WRITERS = {"parquet": write_parquet, "csv": write_csv, "tfrecord": write_tfrecord}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_give_what_memory_gives(kind, tmp_path):
    columns = make_columns()
    path = WRITERS[kind](tmp_path / f"rows.{kind}", columns)
    features = make_features()
    files = Files(path, features, ["click"])
    rk.data.adapt(features, files)
    with pytest.warns(UserWarning, match="events 'clicks' are not known to be before") as told:
        want = features.encode(columns)
    own = make_features().adapt(columns)
    assert own.get_config()["learned"] == features.get_config()["learned"]
    with pytest.warns(UserWarning, match="events 'clicks'") as of_files:
        parts = [x for x, _ in files.dataset(16, encoded=True).as_numpy_iterator()]
    # The same number in both, once.
    late = [str(w.message) for w in told if "events" in str(w.message)]
    assert [str(w.message) for w in of_files if "events" in str(w.message)] == late
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = [x for x, _ in features.encode(files.dataset(16)).as_numpy_iterator()]
    for name, value in want.items():
        for found in (parts, raw):
            joined = np.concatenate([part[name] for part in found])
            np.testing.assert_allclose(joined, value, atol=1e-6, err_msg=name)


def test_rows_of_unequal_lists_are_malformed(tmp_path):
    columns = make_columns()
    columns["kind"][3] = columns["kind"][3] + ["view"]
    path = write_parquet(tmp_path / "rows.parquet", columns)
    features = make_features()
    with pytest.raises(
        DataError, match=r"line 4, column 'kind'.*all lists of events 'clicks' must be"
    ):
        rk.data.adapt(features, Files(path, features, ["click"]))
    bad_rows = BadRows("skip", limit=1)
    found = rk.data.adapt(features, Files(path, features, ["click"], bad_rows=bad_rows))
    assert (found.rows, found.bad_rows) == (ROWS - 1, 1)


def test_dates_with_times_in_parquet(tmp_path):
    columns = make_columns()
    table = pa.table(columns)
    dates = {"now": pa.timestamp("ms", "UTC"), "at": pa.list_(pa.timestamp("ms", "UTC"))}
    for name, kind in dates.items():
        seconds = [
            [v * 1000 for v in row] if isinstance(row, list) else row * 1000
            for row in columns[name]
        ]
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(seconds, kind))
    pq.write_table(table, tmp_path / "rows.parquet")
    features = make_features().adapt(columns)
    files = Files(tmp_path / "rows.parquet", features)
    with pytest.warns(UserWarning, match="events 'clicks'"):
        want = features.encode(columns)
    with pytest.warns(UserWarning, match="events 'clicks'"):
        (found,) = files.dataset(ROWS, encoded=True).as_numpy_iterator()
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)


def test_unsorted_times_in_files_are_told_of(tmp_path):
    columns = make_columns()
    columns["at"][1] = columns["at"][1][::-1]
    path = write_parquet(tmp_path / "rows.parquet", columns)
    features = make_features()
    files = Files(path, features)
    rk.data.adapt(features, files)
    with pytest.raises(Exception, match="not in the declared order, oldest_first"):
        list(files.dataset(16, encoded=True))
    assert isinstance(files.error, DataError)


def test_a_configuration_has_them():
    listed = [
        {"type": "categorical", "name": "item"},
        {"type": "categorical", "name": "tag", "dtype": "int64", "hash_buckets": 30},
        {"type": "timestamp", "name": "now", "unit": "ms"},
        {"type": "events", **EVENTS},
    ]
    content = {"data": {"path": "a.csv"}, "features": listed, "tasks": ["click"]}
    made = [item.make() for item in Config.model_validate(content).features]
    assert made[3].get_config() == rk.Events(**EVENTS).get_config()
    assert made[2].unit == "ms"
