"""A row from its columns to the packed tensors, by every way there is."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.features.encoding import CHUNK
from tests.reference import features as reference

ROWS = 12


def make(adapted=True, **kwargs):
    features = rk.FeatureSet(
        [
            rk.Categorical("user", hash_buckets=50, embedding_dim=4, side="user"),
            rk.Categorical("item", min_count=2),
            rk.Numeric("price", normalize="log", clip=2.0),
            rk.Categorical("city", dtype="string", oov_buckets=2),
            rk.Categorical("device", num_ids=4),
            rk.Categorical("genres", vocabulary=["x", "y"], max_length=2, combiner="sum"),
            rk.History("clicks", of="item", max_length=3),
            rk.History("first", of="user", max_length=2, order="newest_first", combiner="sqrtn"),
            rk.Pretrained("vector", dim=3),
            rk.Numeric("age", indicator=False, normalize=None),
            rk.Categorical("hour", hash_buckets=7, dtype="int64"),
        ],
        **kwargs,
    )
    return features.adapt(columns()) if adapted else features


def columns():
    return {
        "user": [f"u{i % 5}" for i in range(ROWS)],
        "item": np.array([3, 3, 5, 5, 5, 9, 7, 7, -1, 3, 5, 7], "int32"),
        "price": [float(i) ** 3 for i in range(ROWS - 1)] + [None],
        "city": [["a", "b", None, "line\u2028end"][i % 4] for i in range(ROWS)],
        "device": np.arange(ROWS) % 4,
        "genres": [["x", "y", "z"][: i % 4] for i in range(ROWS)],
        "clicks": [[3, -1, 5, 7, 3, 99][: i % 7] for i in range(ROWS)],
        "first": [["u1", "", "u2", "u3"][: i % 5] for i in range(ROWS)],
        "vector": np.arange(3.0 * ROWS).reshape(ROWS, 3),
        "age": np.linspace(0, 1, ROWS),
        "hour": np.arange(ROWS),
        "click": np.ones(ROWS),
    }


def strange_columns():
    """Unknown, missing and overflowing values of every kind."""
    return {
        "user": [None, "", "new"],
        "item": np.array([-1, 123, 3]),
        "price": [float("nan"), float("inf"), -1e30],
        "city": ["new", None, "b"],
        "device": [-1, 4, -9],
        "genres": [[], ["", "y", "", "x", "x"], ["new"]],
        "clicks": [[], [-1, -1], list(range(100))],
        "first": [None, [""], ["u1"] * 50],
        "vector": [[1.0, float("nan"), 0.0], None, [1.0, 2.0, 3.0]],
        "age": [float("nan"), -3.0, 1e9],
        "hour": [-1, 2**62, 0],
    }


@pytest.fixture(scope="module")
def features():
    return make()


def as_dataset(data, batch=5):
    """Padded to one width a column, as a `tf.data` pipeline from files would have it."""
    return tf.data.Dataset.from_tensor_slices(as_tensors(data)).batch(batch)


def as_tensors(data):
    spec = make().raw_spec()
    arrays = rk.features.columns.convert_columns(data, spec)
    return {name: tf.constant(v.tolist(), spec[name].dtype) for name, v in arrays.items()}


def gathered(dataset):
    parts = list(dataset.as_numpy_iterator())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert np.asarray(actual[name]).dtype == value.dtype
        # Compiled graphs may divide in another order: the last bit of a float.
        np.testing.assert_allclose(actual[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def slot(features, encoded, name):
    (field,) = [field for field in features.fields() if field.name == name]
    return encoded["encoded_ids"][:, field.start : field.start + field.length].tolist()


def test_every_field_against_plain_python(features):
    data = columns()
    encoded = features.encode(data)
    items = reference.vocabulary_of(data["item"].tolist(), -1, min_count=2)
    cities = reference.vocabulary_of([c or "" for c in data["city"]], "")
    item_ids = [[reference.vocabulary_id(v, items, -1)] for v in data["item"].tolist()]
    assert items == [5, 3, 7]
    assert slot(features, encoded, "item") == item_ids
    city_ids = [reference.vocabulary_id(c or "", cities, "") for c in data["city"]]
    # One id more for unknown values than the reference has.
    assert slot(features, encoded, "city") == [[i + 1 if i else 0] for i in city_ids]
    assert slot(features, encoded, "device") == [[2 + v] for v in data["device"].tolist()]
    genres = [[{"x": 2, "y": 3, "z": 1}[g] for g in row] for row in data["genres"]]
    expected = [reference.fixed_length(row, 2, "first") for row in genres]
    assert slot(features, encoded, "genres") == expected
    clicks = [[reference.vocabulary_id(v, items, -1) for v in row] for row in data["clicks"]]
    expected = [reference.fixed_length(row, 3, "last") for row in clicks]
    assert slot(features, encoded, "clicks") == expected
    price = np.array(data["price"], np.float32)
    mean, deviation = reference.numeric_statistics(price, "log")
    values, missing = reference.numeric(price, "log", mean, deviation, 2.0)
    numeric = encoded["encoded_numeric"]
    assert features.numeric_names() == ["price", "age", "price:missing"]
    np.testing.assert_allclose(numeric[:, 0], values, atol=1e-6)
    np.testing.assert_allclose(numeric[:, 1], data["age"], atol=1e-6)
    np.testing.assert_array_equal(numeric[:, 2], missing)
    np.testing.assert_array_equal(encoded["encoded_vectors"], data["vector"])


def test_it_is_read_by_name(features):
    assert [*features] == [feature.name for feature in features.features]
    assert "price" in features
    assert features["price"].normalize == "log"
    with pytest.raises(KeyError, match=r"No feature is named 'prize'; there are \['user', 'item'"):
        features["prize"]


def test_a_sequence_reads_the_ids_of_its_feature(features):
    users = [["u1"], ["u2"], [""]]
    data = {**strange_columns(), "user": [row[0] for row in users], "first": users}
    encoded = features.encode(data)
    assert [row[:1] for row in slot(features, encoded, "first")] == slot(features, encoded, "user")


def test_strange_values(features):
    encoded = features.encode(strange_columns())
    assert slot(features, encoded, "user")[:2] == [[0], [0]]
    assert slot(features, encoded, "item") == [[0], [1], [3]]
    assert slot(features, encoded, "city")[1] == [0]
    assert slot(features, encoded, "city")[0][0] in (1, 2)
    assert slot(features, encoded, "device") == [[0], [1], [1]]
    assert slot(features, encoded, "genres") == [[0, 0], [3, 2], [1, 0]]
    assert slot(features, encoded, "clicks") == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert slot(features, encoded, "first")[:2] == [[0, 0], [0, 0]]
    assert slot(features, encoded, "hour")[0] == [0]
    expected = [[0, 0, 1], [0, -3, 1], [-2, 1e9, 0]]
    np.testing.assert_allclose(encoded["encoded_numeric"], expected)
    assert encoded["encoded_vectors"].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 3]]
    for table, field in [(t, f) for t in features.tables() for f in features.fields()]:
        if field.table == table.name:
            assert np.max(slot(features, encoded, field.name)) < table.rows


@pytest.mark.parametrize("data", [columns, strange_columns], ids=["plain", "strange"])
def test_all_ways_agree(features, data):
    expected = features.encode(data())
    for name, (shape, dtype) in features.encoded_spec().items():
        assert expected[name].shape[1:] == shape
        assert expected[name].dtype == dtype
    tensors = as_tensors(data())
    assert_same(features(tensors), expected)
    assert_same(tf.function(features)(tensors), expected)
    assert_same(gathered(features.encode(as_dataset(data()))), expected)
    frame = pd.DataFrame({k: list(v) for k, v in data().items()})
    assert_same(features.encode(frame), expected)
    backwards = dict(reversed(data().items()))
    assert_same(features.encode(backwards), expected)


def test_autograph_stays_out_of_the_encoding(features, monkeypatch):
    """It would take seconds to read the source of the whole encoding, to change nothing."""
    found, encode = set(), type(features).encode_counted

    def spy(self, raw):
        found.add(tf.__internal__.autograph.control_status_ctx().status.name)
        return encode(self, raw)

    monkeypatch.setattr(type(features), "encode_counted", spy)
    monkeypatch.setattr(features, "_encode_fn", None)
    features.encode(columns())
    features.encode(as_dataset(columns()))
    assert found == {"DISABLED"}


def test_dataset_of_tuples_keeps_what_follows_the_columns(features):
    dataset = tf.data.Dataset.zip(as_dataset(columns(), 4), tf.data.Dataset.range(3))
    encoded, labels = next(iter(features.encode(dataset)))
    assert_same(encoded, {k: v[:4] for k, v in features.encode(columns()).items()})
    assert labels == 0


def test_a_dataset_of_ragged_sparse_and_other_types(features):
    data = columns()
    tensors = {k: v for k, v in data.items() if k not in ("genres", "clicks", "first")}
    tensors["city"] = [city or "" for city in data["city"]]
    tensors["price"] = np.array(data["price"], "float64")
    tensors["device"] = data["device"].astype("uint8")
    tensors["hour"] = data["hour"].astype("int32")[:, None]
    tensors["genres"] = tf.ragged.constant(data["genres"])
    tensors["clicks"] = tf.ragged.constant(data["clicks"], dtype=tf.int32)
    tensors["first"] = tf.ragged.constant(data["first"], dtype=tf.string).to_sparse()
    dataset = tf.data.Dataset.from_tensor_slices(tensors).batch(5)
    assert_same(gathered(features.encode(dataset)), features.encode(data))


def test_adapting_to_a_dataset_is_adapting_to_arrays():
    from_arrays, from_dataset = make(), make(adapted=False)
    for batch in (1, 5, ROWS):
        dataset = tf.data.Dataset.from_tensor_slices((as_tensors(columns()), np.ones(ROWS))).batch(
            batch
        )
        learned = make(adapted=False).adapt(dataset).get_config()["learned"]
        wanted = from_arrays.get_config()["learned"]
        assert learned["sizes"] == wanted["sizes"]
        assert list(learned["moments"]) == list(wanted["moments"])
        for name, pair in wanted["moments"].items():
            np.testing.assert_allclose(learned["moments"][name], pair, rtol=1e-12)
    from_dataset.adapt(dataset)
    assert_same(from_dataset.encode(columns()), from_arrays.encode(columns()))
    assert from_dataset["item"].dtype == "int64"


def test_adapting_again_replaces_all_that_was_learned():
    features = rk.FeatureSet([rk.Numeric("n"), rk.Categorical("c")])
    features.adapt({"n": [0.0, 2.0], "c": ["a", "b"]})
    before = features.encode({"n": [12.0], "c": ["z"]})
    features.adapt({"n": [10.0, 14.0], "c": ["z", "z"]})
    after = features.encode({"n": [12.0], "c": ["z"]})
    assert before["encoded_numeric"][0, 0] == 10.0
    assert after["encoded_numeric"][0, 0] == 0.0
    assert (before["encoded_ids"].item(), after["encoded_ids"].item()) == (1, 2)
    assert features.tables()[0].rows == 3
    numeric = rk.FeatureSet([rk.Numeric("n")]).adapt({"n": [0.0, 2.0]})
    assert numeric.encode({"n": [12.0]})["encoded_numeric"][0, 0] == 10.0
    numeric.adapt({"n": [10.0, 14.0]})
    assert numeric.encode({"n": [12.0]})["encoded_numeric"][0, 0] == 0.0


def test_vocabulary_from_a_file(tmp_path):
    path = tmp_path / "cities.txt"
    path.write_text("b\na\n")
    features = rk.FeatureSet([rk.Categorical("city", vocabulary=path)])
    assert features.is_adapted
    assert features.tables()[0].rows == 4
    assert features.encode({"city": ["a", "b", "c"]})["encoded_ids"].tolist() == [[3], [2], [1]]
    with pytest.raises(ValueError, match=r"`vocabulary` of feature 'city' is not a file"):
        rk.FeatureSet([rk.Categorical("city", vocabulary="nowhere.txt")])


def test_tables_fields_and_specs(features):
    assert [(t.name, t.rows, t.dim) for t in features.tables()] == [
        ("user", 51, 4),
        ("item", 5, None),
        ("city", 6, None),
        ("device", 6, None),
        ("genres", 4, None),
        ("hour", 8, None),
    ]
    fields = features.fields()
    kinds = {f.name: (f.table, f.length, f.kind, f.combiner) for f in fields}
    assert kinds["clicks"] == ("item", 3, "sequence", "mean")
    assert kinds["first"] == ("user", 2, "sequence", "sqrtn")
    assert kinds["genres"] == ("genres", 2, "bag", "sum")
    assert kinds["hour"] == ("hour", 1, "single", "mean")
    taken = sorted(s for f in fields for s in range(f.start, f.start + f.length))
    assert taken == list(range(12))
    assert features.encoded_spec() == {
        "encoded_ids": ((12,), "int32"),
        "encoded_numeric": ((3,), "float32"),
        "encoded_vectors": ((3,), "float32"),
    }
    assert features.raw_spec()["clicks"] == tf.TensorSpec((None, None), tf.int64, name="clicks")
    assert features.raw_spec()["first"] == tf.TensorSpec((None, None), tf.string, name="first")


def test_only_what_is_described_is_made():
    features = rk.FeatureSet([rk.Numeric("n", normalize=None, indicator=False)])
    assert features.is_adapted
    assert list(features.encode({"n": [1.0]})) == ["encoded_numeric"]
    features = rk.FeatureSet([rk.Categorical("c", hash_buckets=3)])
    assert list(features.encode({"c": ["a"]})) == ["encoded_ids"]
    features = rk.FeatureSet([rk.Pretrained("p", dim=1)])
    assert list(features.encode({"p": [[1.0]]})) == ["encoded_vectors"]


def test_no_rows_and_histories_of_no_width(features):
    data = columns()
    none = {name: list(value)[:0] for name, value in data.items()}
    encoded = features.encode(none)
    for name, (shape, dtype) in features.encoded_spec().items():
        assert encoded[name].shape == (0, *shape)
        assert encoded[name].dtype == dtype
    data["clicks"] = np.zeros((ROWS, 0), np.int64)
    data["first"] = [[]] * ROWS
    data["genres"] = np.zeros((ROWS, 0), object)
    encoded = features.encode(data)
    assert not np.any(slot(features, encoded, "clicks"))
    assert not np.any(slot(features, encoded, "first"))
    assert not np.any(slot(features, encoded, "genres"))


def test_more_rows_than_a_chunk():
    features = rk.FeatureSet([rk.Categorical("c", num_ids=CHUNK * 2)])
    ids = np.arange(CHUNK + 3)
    assert np.array_equal(features.encode({"c": ids})["encoded_ids"][:, 0], ids + 2)


NAMES = ["inputs", "self", "raw", "training", "mask", "name", "user id", "日本", "1", "a.b", "a_b"]


def test_any_name_goes():
    features = rk.FeatureSet([rk.Numeric(name, normalize=None, indicator=False) for name in NAMES])
    data = {name: [float(i)] for i, name in enumerate(NAMES)}
    expected = [list(map(float, range(len(NAMES))))]
    assert features.encode(data)["encoded_numeric"].tolist() == expected
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(1)
    assert gathered(features.encode(dataset))["encoded_numeric"].tolist() == expected


def test_many_features():
    wide = [rk.Categorical(f"c{i}", hash_buckets=9) for i in range(300)]
    wide += [rk.Numeric(f"n{i}", normalize=None, indicator=False) for i in range(300)]
    features = rk.FeatureSet(wide)
    data = {feature.name: ["a"] if feature.name[0] == "c" else [1.0] for feature in wide}
    encoded = features.encode(data)
    assert encoded["encoded_ids"].shape == (1, 300)
    assert len(set(encoded["encoded_ids"][0])) == 1
    # All columns are hashed by one op, not by one each.
    graph = features._encode_fn.get_concrete_function().graph
    hashes = [op for op in graph.get_operations() if op.type == "StringToHashBucketFast"]
    assert len(hashes) == 1


def test_config_round_trip(features, tmp_path):
    config = features.get_config()
    again = rk.FeatureSet.from_config(config)
    assert again.get_config() == config
    assert again.tables() == features.tables()
    assert again.fields() == features.fields()
    assert again.raw_spec() == features.raw_spec()
    with pytest.raises(RuntimeError, match="'item' has no vocabulary yet"):
        again.encode(columns())
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(features))
    assert restored.get_config() == config


def test_a_model_closes_the_feature_set():
    features = rk.FeatureSet([rk.Categorical("c"), rk.Numeric("n")])
    with pytest.raises(ValueError, match=r"Features \['c', 'n'\] have learned nothing yet"):
        features.freeze("model")
    features.adapt({"c": ["a"], "n": [1.0]})
    features.freeze("model")
    with pytest.raises(RuntimeError, match=r"tables of model 'model'.*Make a new FeatureSet"):
        features.adapt({"c": ["a"], "n": [1.0]})


def test_calling_with_wrong_columns(features):
    with pytest.raises(ValueError, match=r"Columns are missing: \['user'\]"):
        features({name: value for name, value in columns().items() if name != "user"})
    with pytest.raises(TypeError, match="Column 'device' must have dtype int64"):
        features({**as_tensors(columns()), "device": tf.constant([1.7] * ROWS)})


def test_adapting_to_a_number_in_place_of_a_column():
    with pytest.raises(ValueError, match=r"'a' must have one or two dimensions.*shape \(\)"):
        rk.FeatureSet([rk.Categorical("a")]).adapt({"a": np.array(3)})


def test_features_of_two_sets_learn_by_themselves():
    described = [rk.Categorical("c"), rk.Numeric("n")]
    times = {"c": [5, 6], "n": [1.7e9, 1.7e9 + 1]}
    first = rk.FeatureSet(described).adapt({"c": ["a", "b"], "n": [1.0, 2.0]})
    second = rk.FeatureSet(described).adapt(times)
    assert [f.dtype for f in (*first.features, *second.features)] == [
        "string", "float32", "int64", "float64",
    ]  # fmt: skip
    assert [f.dtype for f in described] == [None, None]
