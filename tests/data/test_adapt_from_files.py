"""Features learn from files what they learn from the same rows in memory."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rankup_keras as rk
from rankup_keras.data import DataError, Files, adapt, recall, scan


def _table(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "user": [f"u{v}" for v in rng.zipf(1.5, rows) % 400],
            "item": pa.array(rng.zipf(1.5, rows) % 300, mask=rng.random(rows) < 0.1),
            "tags": [[f"t{v}" for v in rng.integers(0, 9, n)] for n in rng.integers(0, 4, rows)],
            "price": pa.array(rng.lognormal(5, 2, rows), mask=rng.random(rows) < 0.1),
            "age": rng.normal(40, 10, rows),
            "click": rng.integers(0, 2, rows),
        }
    )


def _features():
    return rk.FeatureSet(
        [
            rk.Categorical("user", min_count=2),
            rk.Categorical("item", max_tokens=50),
            rk.Categorical("tags", max_length=3),
            rk.Numeric("price", normalize="log"),
            rk.Numeric("age"),
        ]
    )


def _write(tmp_path, table):
    half = len(table) // 2
    pq.write_table(table.slice(0, half), tmp_path / "a.parquet", row_group_size=400)
    pq.write_table(table.slice(half), tmp_path / "b.parquet")
    return [tmp_path / "a.parquet", tmp_path / "b.parquet"]


def test_learns_what_adapt_learns_in_memory(tmp_path):
    table = _table()
    wanted = _features().adapt(table).encode(table)
    features = _features()
    found = adapt(features, Files(_write(tmp_path, table), features, ["click"]))
    encoded = features.encode(table)
    np.testing.assert_array_equal(encoded["encoded_ids"], wanted["encoded_ids"])
    np.testing.assert_allclose(
        encoded["encoded_numeric"], wanted["encoded_numeric"], rtol=1e-5, atol=1e-6
    )
    assert found.rows == 3000
    assert found.labels["click"] == pytest.approx(np.mean(table["click"].to_numpy()))
    known = table["price"].drop_null().to_numpy()
    assert found.features["price"]["missing"] == table["price"].null_count
    quantiles = np.quantile(known, [0, 0.5, 1])
    assert np.allclose([found.features["price"]["quantiles"][i] for i in (0, 4, 8)], quantiles)


def test_what_was_learned_is_kept(tmp_path, monkeypatch):
    table = _table()
    paths = _write(tmp_path, table)
    features = _features()
    first = adapt(features, Files(paths, features, ["click"]), cache=tmp_path / "cache")
    wanted = features.encode(table)
    features = _features()
    files = Files(paths, features, ["click"])
    monkeypatch.setattr(Files, "chunks", lambda *_: pytest.fail("the files are read again"))
    second = adapt(features, files, cache=tmp_path / "cache")
    assert second.features == first.features
    assert files.rows == 3000
    np.testing.assert_array_equal(features.encode(table)["encoded_ids"], wanted["encoded_ids"])
    assert [path.name for path in (tmp_path / "cache").glob(".*")] == []


def test_another_file_is_learned_anew(tmp_path):
    paths = _write(tmp_path, _table())
    kept = set()
    for seed in (1, 2):
        pq.write_table(_table(2000 + seed, seed), paths[0])
        features = _features()
        adapt(features, Files(paths, features, ["click"]), cache=tmp_path / "cache")
        kept.add(len(list((tmp_path / "cache").iterdir())))
    assert kept == {1, 2}


def test_nothing_half_written_stays_behind_after_a_bad_row(tmp_path):
    table = _table().set_column(5, "click", [pa.array([0, 1, 2] * 1000)])
    features = _features()
    with pytest.raises(DataError, match="The value is 2; a label must be 0 or 1"):
        adapt(features, Files(_write(tmp_path, table), features, ["click"]), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_rows_is_an_error(tmp_path):
    paths = _write(tmp_path, _table())
    features = _features()
    files = Files(paths, features, ["click"], where=[rk.data.OneOf("user", ["nobody"])])
    with pytest.raises(DataError, match="no row that the split or `where` leaves"):
        scan(files)


def test_an_empty_vocabulary_is_an_error(tmp_path):
    features = rk.FeatureSet([rk.Categorical("user", min_count=10_000)])
    files = Files(_write(tmp_path, _table()), features, ["click"])
    with pytest.raises(DataError, match="at least 10000 times"):
        adapt(features, files)


def test_a_model_forbids_learning_anew(tmp_path):
    features = _features()
    files = Files(_write(tmp_path, _table(200)), features, ["click"])
    adapt(features, files)
    rk.DLRM(features, ["click"], embedding_dim=2, bottom_units=(2,), top_units=(2,))
    with pytest.raises(RuntimeError, match="Make a new FeatureSet"):
        adapt(features, files)


def test_values_that_are_no_line_of_text_stay_out(tmp_path):
    pq.write_table(
        pa.table(
            {"user": pa.array([b"a", b"b\nc", b"\xff", b"a"], pa.binary()), "click": [0, 1, 0, 1]}
        ),
        tmp_path / "a.parquet",
    )
    features = rk.FeatureSet([rk.Categorical("user")])
    with pytest.warns(UserWarning, match="2 values of feature 'user'"):
        found = adapt(features, Files(tmp_path / "a.parquet", features, ["click"]))
    assert found.features["user"]["kept"] == 1


@pytest.mark.parametrize("harm", ["", "half"])
@pytest.mark.parametrize("name", ["statistics.json", "vocabulary_0.txt", "manifest.json"])
def test_what_is_kept_and_damaged_is_learned_anew(tmp_path, name, harm):
    table = _table(300)
    paths = _write(tmp_path, table)

    def learn():
        features = _features()
        adapt(features, Files(paths, features, ["click"]), cache=tmp_path / "cache")
        return features.encode(table)["encoded_ids"]

    wanted = learn()
    (kept,) = (tmp_path / "cache").iterdir()
    content = (kept / name).read_text()
    (kept / name).write_text(content[: len(content) // 2] if harm else "")
    with pytest.warns(UserWarning, match="is damaged .* read again"):
        np.testing.assert_array_equal(learn(), wanted)
    np.testing.assert_array_equal(learn(), wanted)  # and kept whole again
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [kept.name]


def test_a_run_recalls_what_it_learned_on_whatever_data(tmp_path):
    table = _table(300)
    features = _features()
    files = Files(_write(tmp_path, table), features, ["click"])
    found = adapt(features, files, keep=tmp_path / "run" / "learned")
    again = _features()
    assert recall(again, tmp_path / "run" / "learned").features == found.features
    for name, values in features.encode(table).items():
        np.testing.assert_array_equal(again.encode(table)[name], values)
    (tmp_path / "run" / "learned" / "vocabulary_1.txt").unlink()
    with pytest.raises(DataError, match=r"learned is damaged: 'vocabulary_1\.txt' is missing"):
        recall(_features(), tmp_path / "run" / "learned")
