"""Vectors by id from NPZ and Parquet, mapped or read; every damaged file named by its feature."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rankup_keras.layers.embeddings.pretrained_vectors import PretrainedVectors

IDS = np.array([7, 3, 100, 42])
VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
ASKED = np.array([42, 7, 5, 7, 1000, -1])
WANTED = np.stack([VECTORS[3], VECTORS[0], np.zeros(3), VECTORS[0], np.zeros(3), np.zeros(3)])


def npz(path, ids=IDS, vectors=VECTORS):
    np.savez(path / "v.npz", ids=ids, vectors=vectors)
    return path / "v.npz"


def parquet(path, ids=IDS, vectors=VECTORS, fixed=False):
    values = [list(v) for v in vectors]
    kind = pa.list_(pa.float32(), 3) if fixed else pa.list_(pa.float32())
    pq.write_table(pa.table({"ids": ids, "vectors": pa.array(values, kind)}), path / "v.parquet")
    return path / "v.parquet"


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize("write", [npz, parquet, lambda p: parquet(p, fixed=True)])
def test_reads_vectors_by_id(tmp_path, write, memory_map):
    vectors = PretrainedVectors.read(write(tmp_path), "user_vector", 3, memory_map=memory_map)
    assert isinstance(vectors._vectors, np.memmap) is memory_map
    assert len(vectors) == 4
    np.testing.assert_array_equal(vectors.lookup(ASKED), WANTED)
    assert vectors.lookup(ASKED).dtype == np.float32
    assert vectors.coverage(ASKED) == 0.5


def test_fortran_ordered_arrays_are_mapped_right(tmp_path):
    path = npz(tmp_path, vectors=np.asfortranarray(VECTORS))
    vectors = PretrainedVectors.read(path, "user_vector", memory_map=True)
    np.testing.assert_array_equal(vectors.lookup(ASKED), WANTED)


def test_mapping_leaves_other_files_alone(tmp_path):
    path, own = parquet(tmp_path), tmp_path / "v.parquet.vectors.npy"
    own.write_bytes(b"somebody else's")
    vectors = PretrainedVectors.read(path, "user_vector", memory_map=True)
    assert own.read_bytes() == b"somebody else's"
    assert sorted(tmp_path.iterdir()) == [path, own]
    assert not vectors._vectors.flags.writeable


def test_parquet_of_several_row_groups(tmp_path):
    table = pa.table({"ids": IDS, "vectors": [list(v) for v in VECTORS]})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=2)
    vectors = PretrainedVectors.read(tmp_path / "v.parquet", "user_vector")
    np.testing.assert_array_equal(vectors.lookup(ASKED), WANTED)


@pytest.mark.parametrize("asked", [["ü", "b", "?"], np.array(["ü", "b", "?"], object)])
def test_strings_are_ids_too(tmp_path, asked):
    path = parquet(tmp_path, ids=np.array(["a", "b", "ü", "long name"]))
    vectors = PretrainedVectors.read(path, "user_vector")
    wanted = np.stack([VECTORS[2], VECTORS[1], np.zeros(3)])
    np.testing.assert_array_equal(vectors.lookup(asked), wanted)


def test_joins_columns_and_datasets():
    vectors = PretrainedVectors("user_vector", IDS, VECTORS)
    columns = {"user": ASKED, "price": np.arange(6.0)}
    joined = vectors.join(columns, by="user")
    assert set(joined) == {"user", "price", "user_vector"}
    np.testing.assert_array_equal(joined["user_vector"], WANTED)
    rows = tf.data.Dataset.from_tensor_slices((columns, np.arange(6))).batch(4)
    joined_rows = vectors.join(rows, by="user")
    assert joined_rows.element_spec[0]["user_vector"].shape.as_list() == [None, 3]
    (first, labels), (last, _) = list(joined_rows)
    np.testing.assert_array_equal(first["user_vector"], WANTED[:4])
    np.testing.assert_array_equal(last["user_vector"], WANTED[4:])
    np.testing.assert_array_equal(labels, [0, 1, 2, 3])


def test_joins_by_strings_in_a_dataset():
    vectors = PretrainedVectors("v", np.array(["x", "y"]), VECTORS[:2])
    rows = tf.data.Dataset.from_tensors({"user": tf.constant(["y", "none"])})
    (joined,) = vectors.join(rows, by="user")
    np.testing.assert_array_equal(joined["v"], np.stack([VECTORS[1], np.zeros(3)]))


@pytest.mark.parametrize("kinds", [("i8", "u8"), ("u8", "i8"), ("i8", "f8"), ("i2", "i8")])
def test_integers_of_several_types_are_found_exactly(kinds):
    large = 2**60 if kinds[1][0] != "f" and "2" not in kinds[0] else 0
    known, asked = (np.array([large, large + 1, large + 2, 7]).astype(kind) for kind in kinds)
    vectors = PretrainedVectors("v", known, np.eye(4, dtype=np.float32))
    np.testing.assert_array_equal(vectors.lookup(asked), np.eye(4))
    others = (
        np.array([7.5, np.nan]) if kinds[1][0] == "f" else np.array([7 + 2**16]).astype(kinds[1])
    )
    assert vectors.coverage(others) == 0
    with pytest.raises(ValueError, match=r"must be one column, not of shape \(4, 1\)"):
        vectors.lookup(asked[:, None])


def test_an_empty_file_knows_nothing():
    vectors = PretrainedVectors("v", np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    np.testing.assert_array_equal(vectors.lookup([1, 2]), np.zeros((2, 3)))
    assert vectors.coverage([1, 2]) == 0.0


def uneven(path):
    rows = [[1.0, 2.0, 3.0], [1.0, 2.0], [1.0], [0.0, 0.0, 0.0]]
    pq.write_table(pa.table({"ids": IDS, "vectors": rows}), path / "v.parquet")
    return path / "v.parquet"


def compressed(path):
    np.savez_compressed(path / "v.npz", ids=IDS, vectors=VECTORS)
    return path / "v.npz"


@pytest.mark.parametrize(
    ("write", "arguments", "message"),
    [
        (npz, {"dim": 4}, "must have the width 4, and have 3"),
        (parquet, {"dim": 4}, "must have the width 4, and have 3"),
        (uneven, {}, r"vectors of the widths \[1, 2, 3\]"),
        (lambda p: npz(p, ids=np.array([1, 2, 2, 3])), {}, r"1 ids come twice, such as \[2\]"),
        (
            lambda p: parquet(p, ids=["a", None, "b", None]),
            {},
            "2 ids are missing, the first in row 1",
        ),
        (lambda p: npz(p, ids=IDS[:3]), {}, "3 ids and 4 vectors"),
        (lambda p: npz(p, ids=IDS / 2), {}, "integers or strings, not float64"),
        (lambda p: npz(p, vectors=IDS), {}, r"floats \(n, dim\), not int64"),
        (npz, {"ids": "user"}, r"no array \['user'\], only \['ids', 'vectors'\]"),
        (parquet, {"vectors": "v"}, r"no column \['v'\]"),
        (compressed, {"memory_map": True}, "compressed NPZ"),
        (lambda p: p / "nothing.npz", {}, "no file"),
        (lambda p: p, {}, r".npz or .parquet"),
    ],
)
def test_damaged_files_are_named_by_feature(tmp_path, write, arguments, message):
    with pytest.raises(ValueError, match=f"feature 'user_vector'.*{message}"):
        PretrainedVectors.read(write(tmp_path), "user_vector", **arguments)


@pytest.mark.parametrize("ids", [["None", "nan"], [7, 3]])
def test_a_missing_id_has_no_vector(ids):
    vectors = PretrainedVectors("v", np.array(ids), VECTORS[:2])
    asked = np.ma.array(np.array(ids), mask=[True, False])
    np.testing.assert_array_equal(vectors.lookup(asked), [np.zeros(3), VECTORS[1]])
    if isinstance(ids[0], str):
        assert vectors.coverage(np.array([None, math.nan, pd.NA], object)) == 0


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
def test_joins_frames_and_tables(make):
    joined = PretrainedVectors("v", IDS, VECTORS).join(make({"user": ASKED}), by="user")
    np.testing.assert_array_equal(joined["v"], WANTED)
    np.testing.assert_array_equal(joined["user"], ASKED)


def test_looking_up_strings_among_integers_is_refused():
    with pytest.raises(ValueError, match="has integers for ids"):
        PretrainedVectors("user_vector", IDS, VECTORS).lookup(["7"])


def test_joining_by_a_missing_column_is_refused():
    with pytest.raises(ValueError, match=r"no column 'user', only \['price'\]"):
        PretrainedVectors("user_vector", IDS, VECTORS).join({"price": [1.0]}, by="user")
