"""Files of all formats: what is read, in which order, and what it becomes."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.data import BadRows, Between, CsvOptions, DataError, Files, OneOf, Share
from rankup_keras.data.packing import Packer, key
from rankup_keras.features.conversion import Target


def _columns(rows=500, seed=0):
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


def _features(vector=True):
    features = [
        rk.Categorical("user", dtype="string"),
        rk.Categorical("item", dtype="int64"),
        rk.Numeric("price"),
        rk.Categorical("tags", max_length=3, dtype="string"),
        rk.History("clicked", of="item", max_length=4),
        rk.Categorical("row", num_ids=10_000),
    ]
    return rk.FeatureSet([*features, rk.Pretrained("vector", dim=3)] if vector else features)


def _write_parquet(path, columns, **kwargs):
    pq.write_table(pa.table(columns), path, **kwargs)
    return path


def _write_csv(path, columns, delimiter=",", header=True):
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


def _write_tfrecord(path, columns):
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


def _read(files, size=64, **kwargs):
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


def _expect(found, columns):
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


def test_parquet(tmp_path):
    columns = _columns()
    path = _write_parquet(tmp_path / "a.parquet", columns, row_group_size=120)
    files = Files(path, _features(), ["click"])
    assert len(files.units) == 5
    _expect(_read(files), columns)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.tsv"])
def test_text(tmp_path, name):
    columns = _columns()
    del columns["vector"]
    path = _write_csv(tmp_path / name, columns, "\t" if "tsv" in name else ",")
    _expect(_read(Files(path, _features(vector=False), ["click"])), columns)


def test_text_without_header_with_another_delimiter(tmp_path):
    columns = _columns(50)
    del columns["vector"]
    path = _write_csv(tmp_path / "a.csv", columns, "::", header=False)
    options = CsvOptions(header=False, columns=list(columns), delimiter="::")
    _expect(_read(Files(path, _features(vector=False), ["click"], csv=options)), columns)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_tfrecord(tmp_path, name):
    columns = _columns()
    path = _write_tfrecord(tmp_path / name, columns)
    _expect(_read(Files(path, _features(), ["click"])), columns)


def test_folders_patterns_and_lists(tmp_path):
    columns = _columns(30)
    for name in ("2024/b.parquet", "2024/a.parquet", "c.parquet", "_SUCCESS"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if name == "_SUCCESS":
            path.write_text("")
        else:
            _write_parquet(path, columns)
    features = _features()
    names = [path.name for path in Files(tmp_path, features).paths]
    assert names == ["a.parquet", "b.parquet", "c.parquet"]
    names = [
        p.name for p in Files([str(tmp_path / "2024/*"), tmp_path / "c.parquet"], features).paths
    ]
    assert names == ["a.parquet", "b.parquet", "c.parquet"]


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("gs://logs/day=1/*.parquet", "gcsfuse"),
        ("s3://logs/a.parquet", "mount-s3"),
        ("https://a.example/b.csv", "Copy them to this machine"),
    ],
)
def test_remote_paths_are_refused_with_what_would_work(path, remedy):
    with pytest.raises(DataError, match=remedy):
        Files(path, _features())


def test_a_file_address_is_a_path(tmp_path):
    path = _write_parquet(tmp_path / "a.parquet", _columns(10))
    assert Files(f"file://{path}", _features()).paths == [path]


def test_types_come_from_the_file_where_a_feature_has_none(tmp_path):
    columns = {
        "text": ["a", "b"], "number": [1, 2], "gaps": [1.0, None], "date": ["x", "y"],
        "click": [0, 1],
    }  # fmt: skip
    features = rk.FeatureSet([rk.Categorical(n) for n in ("text", "number", "gaps")])
    files = Files(_write_parquet(tmp_path / "a.parquet", columns), features, ["click"])
    spec = files.dataset(2).element_spec[0]
    assert {name: item.dtype for name, item in spec.items()} == {
        "text": tf.string, "number": tf.int64, "gaps": tf.int64,
    }  # fmt: skip
    files = Files(_write_csv(tmp_path / "a.csv", columns), features, ["click"])
    assert {item.dtype for item in files.dataset(2).element_spec[0].values()} == {tf.string}


def test_shuffles_by_seed_and_epoch(tmp_path):
    for part in range(3):
        columns = _columns(200, seed=part)
        columns["row"] = [part * 200 + i for i in range(200)]
        _write_parquet(tmp_path / f"{part}.parquet", columns, row_group_size=50)
    files = Files(tmp_path, _features(), ["click"])

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
    columns = _columns(300)
    # Two workers take row groups, seven find too few of them and share rows.
    path = _write_parquet(tmp_path / "a.parquet", columns, row_group_size=60)
    files = Files(path, _features(), ["click"])
    seen = []
    for worker in range(workers):
        tables = list(files.tables(64, shuffle=True, shard=(worker, workers)))
        assert tables
        seen += [row for table in tables for row in table["feature/row"].to_pylist()]
    assert sorted(seen) == columns["row"]


def test_conditions_on_rows(tmp_path):
    columns = _columns(400)
    path = _write_parquet(tmp_path / "a.parquet", columns, row_group_size=70)

    def rows(*where):
        return _read(Files(path, _features(), ["click"], where=where))[0]["row"].tolist()

    assert rows(OneOf("part", ["test"])) == [r for r in range(400) if r % 10 >= 8]
    assert rows(OneOf("row", [3, "5"])) == [3, 5]
    assert rows(Between("row", 10, 13)) == [10, 11, 12]
    shares = [rows(Share(a, b, seed=3)) for a, b in ((0, 0.5), (0.5, 0.75), (0.75, 1))]
    assert sorted(row for part in shares for row in part) == columns["row"]
    assert 160 < len(shares[0]) < 240
    assert rows(Share(0, 0.5, seed=4)) != shares[0]
    halves = [rows(Share(a, b, by="user")) for a, b in ((0, 0.5), (0.5, 1))]
    users = [{columns["user"][row] for row in half} for half in halves]
    assert users[0]
    assert users[1]
    assert not users[0] & users[1]


def test_a_share_is_the_same_however_the_file_is_cut(tmp_path):
    columns = _columns(100)
    found = []
    for size, name in ((100, "a"), (7, "b")):
        folder = tmp_path / name
        folder.mkdir()
        path = _write_parquet(folder / "x.parquet", columns, row_group_size=size)
        files = Files(path, _features(), ["click"], where=[Share(0.2, 0.6)])
        found.append(_read(files)[0]["row"].tolist())
    assert found[0] == found[1]


def test_weights_come_third(tmp_path):
    columns = {"user": ["a", "b"], "click": [0, 1], "w": [0.5, 2.0]}
    path = _write_parquet(tmp_path / "a.parquet", columns)
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    ((_, _, weights),) = Files(path, features, ["click"], weight="w").dataset(2)
    assert weights.numpy().tolist() == [0.5, 2.0]


def test_batches_have_their_size_and_number(tmp_path):
    path = _write_parquet(tmp_path / "a.parquet", _columns(100), row_group_size=33)
    files = Files(path, _features(), ["click"])
    assert [len(c["row"]) for c, _ in files.dataset(40)] == [40, 40, 20]
    assert [len(c["row"]) for c, _ in files.dataset(40, drop_remainder=True)] == [40, 40]
    rk.data.scan(files)
    assert int(files.dataset(40).cardinality()) == 3


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
    import json

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
    path = _write_parquet(tmp_path / "a.parquet", columns)
    features = rk.FeatureSet([rk.Categorical("user", hash_buckets=5)])
    with pytest.raises(DataError, match=r"a\.parquet, line 2, column 'click': 3 stands") as info:
        list(Files(path, features, ["click"]).tables(9))
    assert (info.value.line, info.value.column, info.value.value) == (2, "click", 3)


def test_columns_must_have_one_type_in_all_files(tmp_path):
    _write_parquet(tmp_path / "a.parquet", {"user": ["a"], "n": [1], "click": [0]})
    _write_parquet(tmp_path / "b.parquet", {"user": [None], "n": [1.5], "click": [0]})
    features = rk.FeatureSet([rk.Categorical("user", dtype="string"), rk.Numeric("n")])
    assert sum(t.num_rows for t in Files(tmp_path, features, ["click"]).tables(9)) == 2
    _write_parquet(tmp_path / "c.parquet", {"user": [5], "n": [1], "click": [0]})
    with pytest.raises(DataError, match=r"type int64 here and of type string in .*a\.parquet"):
        Files(tmp_path, features, ["click"])


def test_text_travels_whole_whatever_is_in_it():
    words = ["", "\x1f", "a\x1eb", "\x1d\x1f", "ä", "x" * 100, "\x1f\x1e\x1f", "\x00"]
    targets = [
        Target("a", "a", "string"), Target("b", "b", "string", "list"), Target("c", "c", "int64"),
    ]  # fmt: skip
    lists = [words[:i] for i in range(8)]
    table = pa.table(
        {
            key(targets[0]): pa.array([w.encode() for w in words], pa.binary()),
            key(targets[1]): pa.array(
                [[w.encode() for w in ws] for ws in lists], pa.list_(pa.binary())
            ),
            key(targets[2]): pa.array(range(8), pa.int64()),
        }
    )
    packer = Packer(targets)
    for rows in (8, 1):
        found = packer.unpack(
            {k: tf.constant(v) for k, v in packer.pack(table.slice(0, rows)).items()}
        )
        assert found[targets[0]].numpy().tolist() == [w.encode() for w in words[:rows]]
        assert found[targets[2]].numpy().tolist() == list(range(rows))
        for row in range(rows):
            kept = found[targets[1]].numpy()[row].tolist()[: len(lists[row])]
            assert kept == [w.encode() for w in lists[row]]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("encoded", [False, True])
def test_hives_mark_of_a_missing_value_is_no_word(tmp_path, name, encoded):
    words = ["a", "\\N", "", "NA"] * 10
    table = pa.table({"word": words, "click": [0, 1] * 20})
    if name.endswith("csv"):
        lines = [f"{word},{number % 2}" for number, word in enumerate(words)]
        (tmp_path / name).write_text("\n".join(["word,click", *lines]) + "\n")
    else:
        pq.write_table(table, tmp_path / name)
    features = rk.FeatureSet([rk.Categorical("word")])
    files = Files(tmp_path / name, features, ["click"])
    rk.data.adapt(features, files)
    dataset = files.dataset(40, encoded=encoded)
    dataset = dataset if encoded else features.encode(dataset)
    ids = next(iter(dataset))[0]["encoded_ids"].numpy()[:, 0]
    # NA is a country.
    assert [*(ids[:4] != 0)] == [True, False, False, True]
    assert features.tables()[0].rows == 2 + 2
