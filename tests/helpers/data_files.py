"""The same rows in files of every format, and what reading them must give."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

import rankup_keras as rk


def make_columns(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "row": list(range(rows)),
        "user": [f"u{i}" for i in rng.integers(0, 20, rows)],
        "item": [None if i % 17 == 0 else int(v) for i, v in enumerate(rng.integers(0, 9, rows))],
        "price": [None if i % 13 == 0 else float(v) for i, v in enumerate(rng.normal(0, 1, rows))],
        "tags": [[f"t{v}" for v in rng.integers(0, 5, n)] for n in rng.integers(0, 4, rows)],
        "clicked": [rng.integers(0, 9, n).tolist() for n in rng.integers(0, 5, rows)],
        "vector": [rng.normal(0, 1, 3).tolist() for _ in range(rows)],
        "click": rng.integers(0, 2, rows).tolist(),
        "part": ["train" if i % 10 < 8 else "test" for i in range(rows)],
    }


def make_features(vector=True):
    features = [
        rk.Categorical("user", dtype="string"),
        rk.Categorical("item", dtype="int64"),
        rk.Numeric("price"),
        rk.Categorical("tags", max_length=3, dtype="string"),
        rk.History("clicked", of="item", max_length=4),
        rk.Categorical("row", num_ids=10_000),
    ]
    return rk.FeatureSet([*features, rk.Pretrained("vector", dim=3)] if vector else features)


def write_parquet(path, columns, **kwargs):
    pq.write_table(pa.table(columns), path, **kwargs)
    return path


def write_csv(path, columns, delimiter=",", header=True):
    def cell(value):
        if value is None:
            return ""
        return "|".join(map(str, value)) if isinstance(value, list) else str(value)

    lines = [delimiter.join(columns)] if header else []
    lines += [delimiter.join(map(cell, row)) for row in zip(*columns.values(), strict=True)]
    data = ("\n".join(lines) + "\n").encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)
    return path


def write_tfrecord(path, columns):
    kinds = {str: "bytes_list", int: "int64_list", float: "float_list"}
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as writer:
        for row in zip(*columns.values(), strict=True):
            example = tf.train.Example()
            for name, value in zip(columns, row, strict=True):
                values = value if isinstance(value, list) else [] if value is None else [value]
                if values:
                    kind = getattr(example.features.feature[name], kinds[type(values[0])])
                    data = [v.encode() if isinstance(v, str) else v for v in values]
                    kind.value.extend(data)
            writer.write(example.SerializeToString())
    return path


def read(files, size=64, **kwargs):
    parts = list(files.dataset(size, **kwargs).as_numpy_iterator())
    columns = {}
    for name in parts[0][0]:
        blocks = [part[0][name] for part in parts]
        if blocks[0].ndim == 2:
            width = max(block.shape[1] for block in blocks)
            pad = b"" if blocks[0].dtype == object else -1
            blocks = [
                np.pad(b, ((0, 0), (0, width - b.shape[1])), constant_values=pad) for b in blocks
            ]
        columns[name] = np.concatenate(blocks)
    labels = {name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]}
    return columns, labels


def expect(found, columns):
    got, labels = found
    wanted = {name: columns[name] for name in got}
    np.testing.assert_array_equal(got["row"], wanted["row"])
    assert [v.decode() for v in got["user"]] == wanted["user"]
    assert got["item"].tolist() == [-1 if v is None else v for v in wanted["item"]]
    price = np.array([np.nan if v is None else v for v in wanted["price"]], np.float32)
    np.testing.assert_allclose(got["price"], price, rtol=1e-6)
    for row, tags, clicked in zip(got["row"], got["tags"], got["clicked"], strict=True):
        place = list(columns["row"]).index(row)
        assert [t.decode() for t in tags if t] == columns["tags"][place]
        assert [v for v in clicked if v >= 0] == columns["clicked"][place]
    if "vector" in got:
        np.testing.assert_allclose(got["vector"], wanted["vector"], rtol=1e-6)
    np.testing.assert_array_equal(labels["click"], columns["click"])
