"""Rows encoded before they are shuffled: the very numbers of `FeatureSet.encode`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import rankup_keras as rk
from rankup_keras.data import BadRows, CsvOptions, DataError, Files, OneOf
from rankup_keras.data.parquet_source import ParquetSource
from rankup_keras.data.reading import in_order
from rankup_keras.features import encoding

WORDS = st.one_of(
    st.sampled_from(["", "a", "b", "NA", "\x1f", "\x1d\x1e", "ä", "\u2028", "0", "x" * 70]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20),
)
INTS = st.one_of(st.integers(-3, 12), st.integers(-(2**63), 2**63 - 1))
PLAIN = st.integers(-1, 6)
FLOATS = st.one_of(st.none(), st.floats(width=32))


def _features():
    return rk.FeatureSet(
        [
            rk.Categorical("hashed", hash_buckets=7),
            rk.Numeric("price"),
            rk.Categorical("known", vocabulary=["a", "b", "\x1f"], oov_buckets=3),
            rk.Categorical("hashed_number", hash_buckets=5, dtype="int64"),
            rk.Categorical("known_number", vocabulary=[3, -2, 2**62], oov_buckets=2),
            rk.Categorical("plain", num_ids=7),
            rk.Categorical("tags", vocabulary=["b", "NA"], max_length=3),
            rk.Categorical("codes", hash_buckets=9, dtype="int64", max_length=2),
            rk.Categorical("twice", hash_buckets=6, num_hashes=2),
            rk.Categorical("thrice", hash_buckets=5, num_hashes=3, dtype="int64", max_length=2),
            rk.History("past", of="twice", max_length=2),
            rk.History("last", of="known", max_length=2),
            rk.History("first", of="plain", max_length=3, order="newest_first"),
            rk.Numeric("age", normalize="log", indicator=False),
            rk.Pretrained("vector", dim=2),
        ]
    ).set_statistics(moments={"price": (0.3, 1.7), "age": (0.5, 0.01)})


@st.composite
def _tables(draw):
    rows = draw(st.integers(6, 12))

    def column(values, kind):
        return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)

    def lists(values, kind):
        return column(st.none() | st.lists(values, max_size=5), pa.list_(kind))

    vector = st.none() | st.lists(st.floats(width=32), min_size=2, max_size=2)
    return pa.table(
        {
            "hashed": column(st.none() | WORDS, pa.string()),
            "known": column(st.none() | WORDS, pa.string()).dictionary_encode(),
            "hashed_number": column(st.none() | INTS, pa.int64()),
            "known_number": column(st.none() | INTS, pa.int64()),
            "plain": column(st.none() | PLAIN, pa.int64()),
            "tags": lists(WORDS, pa.string()),
            "codes": lists(INTS, pa.int64()),
            "twice": column(st.none() | WORDS, pa.string()),
            "thrice": lists(INTS, pa.int64()),
            "past": lists(WORDS, pa.string()),
            "last": lists(WORDS, pa.string()),
            "first": lists(PLAIN, pa.int64()),
            "price": column(FLOATS, pa.float32()),
            "age": column(FLOATS, pa.float32()),
            "vector": column(vector, pa.list_(pa.float32())),
            "click": column(st.integers(0, 1), pa.int8()),
            "w": column(st.floats(0, 2, width=32), pa.float32()),
        }
    )


def _assert_same(wanted, found):
    wanted, found = list(wanted.as_numpy_iterator()), list(found.as_numpy_iterator())
    assert len(wanted) == len(found) > 0
    for a, b in zip(wanted, found, strict=True):
        tf.nest.assert_same_structure(a, b)
        for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


# Every example traces the graph anew: few of them, of several row groups each.
@settings(max_examples=4, deadline=None)
@given(table=_tables())
def test_ids_and_numbers_are_those_of_the_graph(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    pq.write_table(table, path, row_group_size=5)
    features = _features()
    files = Files(path, features, ["click"], weight="w")
    wanted = features.encode(files.dataset(4))
    found = files.dataset(4, encoded=True)
    assert found.element_spec[0].keys() == features.encoded_spec().keys()
    _assert_same(wanted, found)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=6),
    length=st.integers(1, 4),
    keep=st.sampled_from(["first", "last"]),
)
def test_lists_are_cut_as_in_the_graph(rows, length, keep):
    flat = np.array([i for row in rows for i in row], np.int32)
    lengths = np.array([len(row) for row in rows], np.int64)
    found = encoding.fixed_length_rows(flat, lengths, length, keep)
    dense = tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1).to_tensor()
    np.testing.assert_array_equal(found, encoding.fixed_length(dense, length, keep))
    real = [[i for i in row if i] for row in rows]
    cut = [(row if keep == "first" else row[::-1])[:length] for row in real]
    assert found.tolist() == [row + [0] * (length - len(row)) for row in cut]


def _rows(path, rows=3000, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    table = pa.table(
        {
            "few": [None if i == 3 else f"f{i}" for i in rng.integers(0, 30, rows)],
            "many": [f"{i:08x}" for i in rng.integers(0, 2000, rows)],
            "price": rng.normal(0, 1, rows),
            "part": [f"p{i}" for i in rng.integers(0, 5, rows)],
            "click": rng.integers(0, 2, rows),
        }
    )
    pq.write_table(table, path, row_group_size=700, **kwargs)


def _small():
    return rk.FeatureSet(
        [rk.Categorical("few"), rk.Categorical("many", hash_buckets=50), rk.Numeric("price")]
    )


@pytest.mark.parametrize("shard", [(0, 1), (1, 2), (2, 20)])
def test_batches_are_the_same_ones_in_the_same_order(tmp_path, shard):
    for part in range(3):
        _rows(tmp_path / f"{part}.parquet", seed=part)
    features = _small()
    files = Files(tmp_path, features, ["click"], where=[OneOf("part", ["p0", "p3"])])
    rk.data.adapt(features, files)
    for options in ({}, {"shuffle": True, "seed": 3, "first_epoch": 2, "skip_batches": 4}):
        options = {"shuffle_rows": 900, "shard": shard, **options}
        wanted = features.encode(files.dataset(32, **options))
        _assert_same(wanted, files.dataset(32, encoded=True, **options))


def test_every_pass_has_an_order_of_its_own_and_runs_agree(tmp_path):
    _rows(tmp_path / "a.parquet")
    features = _small()
    files = Files(tmp_path, features, ["click"])
    rk.data.adapt(features, files)

    def passes():
        dataset = files.dataset(64, shuffle=True, seed=1, encoded=True)
        return [
            np.concatenate([c["encoded_numeric"] for c, _ in dataset.as_numpy_iterator()])
            for _ in range(2)
        ]

    first, again = passes(), passes()
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(np.sort(first[0], 0), np.sort(first[1], 0))


def test_text_and_tfrecord_files_are_encoded_too(tmp_path):
    text = tmp_path / "a.csv"
    text.write_text("few,many,price,click\na,1,2.5,0\n\\N,,x,1\nb,1,-1,1\n")
    features = _small()
    bad = BadRows("skip", path=tmp_path / "bad.jsonl")
    files = Files(text, features, ["click"], csv=CsvOptions(), bad_rows=bad)
    rk.data.adapt(features, files)
    _assert_same(features.encode(files.dataset(2)), files.dataset(2, encoded=True))
    assert bad.count == 1
    assert '"line": 3' in bad.path.read_text()
    record = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(record)) as writer:
        example = tf.train.Example()
        example.features.feature["few"].bytes_list.value.append(b"a")
        example.features.feature["click"].int64_list.value.append(1)
        example.features.feature["many"].bytes_list.value.append(b"7")
        example.features.feature["price"].float_list.value.append(0.5)
        writer.write(example.SerializeToString())
    files = Files(record, features, ["click"])
    _assert_same(features.encode(files.dataset(2)), files.dataset(2, encoded=True))


def test_small_dictionaries_of_parquet_are_kept_and_large_ones_are_not(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    _rows(path)
    monkeypatch.setattr("rankup_keras.data.parquet_source.CODED_BYTES", 1000)
    source = ParquetSource(coded=["few", "many", "price"])
    chunk = next(source.read((path, 1), ["few", "many", "price"], set(), 100))
    kinds = {field.name: str(field.type) for field in chunk.batch.schema}
    assert kinds["few"].startswith("dictionary")
    assert kinds["many"] == "string"
    assert kinds["price"] == "double"
    assert chunk.first == 700


def test_features_must_have_learned(tmp_path):
    _rows(tmp_path / "a.parquet")
    files = Files(tmp_path, _small(), ["click"])
    with pytest.raises(ValueError, match=r"needs adapted features\. Call"):
        files.dataset(32, encoded=True)


def test_rows_to_score_have_no_labels(tmp_path):
    _rows(tmp_path / "a.parquet", rows=10)
    features = rk.FeatureSet([rk.Categorical("many", hash_buckets=50)])
    files = Files(tmp_path, features)
    _assert_same(features.encode(files.dataset(4)), files.dataset(4, encoded=True))


def test_work_is_done_in_threads_and_told_in_order():
    def items():
        yield from range(20)
        raise DataError("The rest is damaged.")

    seen = []
    with pytest.raises(DataError, match="rest is damaged"):
        seen.extend(in_order(items(), lambda item: item * item))
    assert seen == [i * i for i in range(20)]
    found = in_order(items(), lambda item: item * item)
    assert [next(found) for _ in range(20)] == [i * i for i in range(20)]
    # What goes wrong with an early item is told before what reading runs into behind it.
    with pytest.raises(ZeroDivisionError):
        list(in_order(items(), lambda item: 1 / (item - 19)))


def test_a_model_trains_on_encoded_rows_as_on_raw_ones(tmp_path):
    _rows(tmp_path / "a.parquet", rows=300)

    def losses(encoded):
        features = _small()
        files = Files(tmp_path, features, ["click"])
        rk.data.adapt(features, files)
        tf.keras.utils.set_random_seed(0)
        model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
        model.compile("sgd")
        rows = files.dataset(64, shuffle=True, encoded=encoded)
        return model.fit(rows, epochs=2, verbose=0).history["loss"]

    assert losses(True) == losses(False)
