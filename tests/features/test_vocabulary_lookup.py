"""Vocabularies: from lists and files, odd characters, unknown values, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.features import VocabularyLookup

ODD = [
    "é",
    "日本",
    "a b",
    " a",
    "a ",
    "\t",
    "line\u2028separator",
    "next\u0085line",
    "\x0b",
    "\x1c",
]


def strings(*values):
    return tf.constant(list(values), tf.string)


def test_ids_follow_the_order():
    lookup = VocabularyLookup(feature="f")
    assert lookup.set_vocabulary(["b", "a", "c"]) == 3
    assert lookup.rows == 5
    assert lookup.vocabulary() == ["b", "a", "c"]
    assert lookup(strings("a", "b", "c", "z", "")).numpy().tolist() == [3, 2, 4, 1, 0]
    assert lookup(tf.constant([["a"], ["c"]])).numpy().tolist() == [[3], [4]]


def test_integers_with_negative_ones():
    lookup = VocabularyLookup("int64", feature="f")
    lookup.set_vocabulary([5, -7, 0, 2**62])
    values = tf.constant([5, -7, 0, 2**62, 6, -1], tf.int64)
    assert lookup(values).numpy().tolist() == [2, 3, 4, 5, 1, 0]
    assert lookup.vocabulary() == ["5", "-7", "0", str(2**62)]


@pytest.mark.parametrize("dtype", ["string", "int64"])
def test_several_ids_for_unknown_values(dtype):
    lookup = VocabularyLookup(dtype, oov_buckets=4, feature="f")
    known = ["a", "b"] if dtype == "string" else [1, 2]
    lookup.set_vocabulary(known)
    assert lookup.rows == 7
    assert lookup(tf.constant(known, tf.as_dtype(dtype))).numpy().tolist() == [5, 6]
    unknown = [f"u{i}" for i in range(50)] if dtype == "string" else list(range(100, 150))
    ids = lookup(tf.constant(unknown, tf.as_dtype(dtype))).numpy()
    assert set(ids) == {1, 2, 3, 4}
    assert (lookup(tf.constant(unknown, tf.as_dtype(dtype))).numpy() == ids).all()


def test_values_that_look_like_line_ends_survive_saving(tmp_path):
    lookup = VocabularyLookup(feature="f")
    lookup.set_vocabulary(ODD)
    expected = list(range(2, 2 + len(ODD)))
    assert lookup(strings(*ODD)).numpy().tolist() == expected
    lookup.save_assets(str(tmp_path))
    loaded = VocabularyLookup.from_config(lookup.get_config())
    loaded.load_assets(str(tmp_path))
    assert loaded(strings(*ODD)).numpy().tolist() == expected
    assert loaded.vocabulary() == ODD


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
def test_file_with_either_line_end(tmp_path, line, end):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(line.join([b"b", "é".encode(), b"a"]) + end)
    lookup = VocabularyLookup(feature="f")
    assert lookup.set_vocabulary_file(path) == 3
    assert lookup(strings("b", "é", "a")).numpy().tolist() == [2, 3, 4]
    assert lookup.vocabulary() == ["b", "é", "a"]


def test_file_is_not_needed_afterwards(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("a\nb\n")
    lookup = VocabularyLookup(feature="f")
    lookup.set_vocabulary_file(str(path))
    path.unlink()
    assert lookup(strings("b")).numpy().tolist() == [3]
    lookup.save_assets(str(tmp_path))
    assert (tmp_path / "vocabulary.txt").read_text() == "a\nb\n"


@pytest.mark.parametrize(
    ("dtype", "content"),
    [("string", "a\nb\na\n"), ("int64", "1\n2\nx\n"), ("int64", "1\n2\n1\n"), ("string", "")],
)
def test_bad_file(tmp_path, dtype, content):
    path = tmp_path / "vocabulary.txt"
    path.write_text(content)
    lookup = VocabularyLookup(dtype, feature="color")
    with pytest.raises(ValueError, match="vocabulary of feature 'color'"):
        lookup.set_vocabulary_file(path)


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(ValueError, match="`vocabulary` of feature 'color' is not a file"):
        VocabularyLookup(feature="color").set_vocabulary_file(tmp_path / name)


@pytest.mark.parametrize("values", [["a", "b", "a"], []])
def test_bad_list(values):
    with pytest.raises(ValueError, match="vocabulary of feature 'color'"):
        VocabularyLookup(feature="color").set_vocabulary(values)


def test_nothing_learned_yet():
    lookup = VocabularyLookup(feature="color")
    assert lookup.vocabulary() == []
    with pytest.raises(RuntimeError, match=r"'color' has no vocabulary yet\. Call `adapt`"):
        lookup(strings("a"))
    with pytest.raises(RuntimeError, match="'color' has no vocabulary yet"):
        _ = lookup.rows


def test_config_round_trip():
    lookup = VocabularyLookup("int64", oov_buckets=3, feature="f", name="l")
    assert VocabularyLookup.from_config(lookup.get_config()).get_config() == lookup.get_config()
    assert ">" in keras.saving.get_registered_name(VocabularyLookup)


def test_inside_a_dataset_and_an_exported_graph(tmp_path):
    lookup = VocabularyLookup(feature="f")
    lookup.set_vocabulary(["a", "b"])
    rows = tf.data.Dataset.from_tensor_slices(["b", "z", "", "a"]).batch(4).map(lookup)
    assert next(iter(rows)).numpy().tolist() == [3, 1, 0, 2]
    module = tf.Module()
    module.lookup = lookup
    module.call = tf.function(
        lambda x: lookup(x), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "export"), signatures=module.call)
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    (ids,) = served(strings("b", "z", "")).values()
    assert np.array_equal(ids, [3, 1, 0])


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
def test_files_of_other_programs(tmp_path, encoding, end):
    path = tmp_path / "v.txt"
    path.write_bytes(end.join(["shoes", "hats", ""]).encode(encoding))
    lookup = VocabularyLookup(feature="kind")
    assert lookup.set_vocabulary_file(path) == 2
    assert lookup(strings("shoes", "hats", "x")).numpy().tolist() == [2, 3, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("shoes\nhats\n".encode("utf-16"), "'kind' is UTF-16. Write it as UTF-8"),
        ("shoes\n".encode("utf-16-le"), "'kind' is no text"),
        ("é\n".encode("latin-1"), "'kind' is no UTF-8"),
        (b"shoes\rhats\r", "'kind' is one of lone carriage returns"),
    ],
)
def test_files_in_other_encodings_are_refused(tmp_path, content, message):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        VocabularyLookup(feature="kind").set_vocabulary_file(path)


def test_a_value_that_begins_like_a_byte_order_mark_is_learned_and_kept(tmp_path):
    features = rk.FeatureSet([rk.Categorical("x")]).adapt({"x": ["\ufeffa", "\ufeffa", "a"]})
    lookup = features.lookups["x"]
    for _ in range(2):
        assert lookup(strings("\ufeffa", "a")).numpy().tolist() == [2, 3]
        lookup.save_assets(str(tmp_path))
        lookup = VocabularyLookup()
        lookup.load_assets(str(tmp_path))
