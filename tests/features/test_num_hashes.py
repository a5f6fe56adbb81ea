"""Several hash functions: the ids, how seldom values share all of them, and every way to them."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import rankup_keras as rk
from rankup_keras.features.encoding import hash_ids
from tests.reference import features as reference

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTS = st.integers(-(2**63), 2**63 - 1)


@given(
    values=st.lists(WORDS, max_size=5) | st.lists(INTS, max_size=5),
    buckets=st.lists(st.integers(1, 2**31 - 3), min_size=3, max_size=3),
    hashes=st.lists(st.integers(1, 4), min_size=3, max_size=3),
)
def test_ids_are_those_of_the_definition(values, buckets, hashes):
    text = bool(values) and isinstance(values[0], str)
    column = tf.constant(values, tf.string if text else tf.int64)[:, None]
    ids = hash_ids(tf.concat([column] * 3, axis=1), buckets, hashes).numpy()
    assert ids.dtype == np.int32
    for value, row in zip(values, ids.tolist(), strict=True):
        if value == ("" if text else -1):
            assert row == [0] * sum(hashes)
            continue
        fingerprint = int(tf.strings.to_hash_bucket_fast(str(value), 2**63 - 1))
        assert row == [
            1 + reference.hash_number(fingerprint, number) % size
            for size, count in zip(buckets, hashes, strict=True)
            for number in range(count)
        ]


def test_ids_stay_what_they_are():
    # A trained model is worthless with other ids: these may never change.
    ids = hash_ids(tf.constant([["a"], ["item 7"]]), [1_000_000], [3]).numpy()
    assert ids.tolist() == [[588133, 856638, 434774], [390131, 898718, 509933]]


def test_first_ids_are_those_of_one_hash_function():
    values = tf.constant([f"v{i}" for i in range(200)])[:, None]
    one = hash_ids(values, [50]).numpy()
    np.testing.assert_array_equal(hash_ids(values, [50], [3]).numpy()[:, :1], one)


@pytest.mark.parametrize(("buckets", "hashes"), [(40, 1), (40, 2), (25, 3)])
@pytest.mark.parametrize("kind", ["consecutive numbers", "words"])
def test_pairs_share_their_vector_as_seldom_as_by_chance(kind, buckets, hashes):
    count = 40_000
    values = tf.range(count, dtype=tf.int64)
    if kind == "words":
        values = tf.strings.join(["user_", tf.strings.as_string(values * 7)])
    ids = np.sort(hash_ids(values[:, None], [buckets], [hashes]).numpy(), axis=1)
    sizes = np.array(list(collections.Counter(map(tuple, ids.tolist())).values()))
    pairs = (sizes * (sizes - 1) / 2).sum() / (count * (count - 1) / 2)
    assert pairs == pytest.approx(reference.shared_by_chance(buckets, hashes), rel=0.05)


def test_values_fill_all_buckets_evenly_by_every_function():
    values = tf.strings.as_string(tf.range(20_000))[:, None]
    ids = hash_ids(values, [10], [4]).numpy()
    for column in ids.T:
        counts = np.bincount(column, minlength=11)
        assert counts[0] == 0
        assert counts[1:].min() > 1800
        assert counts[1:].max() < 2200
    # Of independent functions, the ids of two agree in one value of ten.
    for a in range(4):
        for b in range(a):
            assert np.mean(ids[:, a] == ids[:, b]) == pytest.approx(0.1, abs=0.01)


def make_features():
    return rk.FeatureSet(
        [
            rk.Categorical("site", vocabulary=["x", "y"]),
            rk.Categorical("item", hash_buckets=50, num_hashes=3),
            rk.Categorical("shop", hash_buckets=20),
            rk.Categorical("tags", hash_buckets=30, num_hashes=2, max_length=2),
            rk.History("clicks", of="item", max_length=2),
            rk.Categorical("code", hash_buckets=9, num_hashes=2, dtype="int64"),
        ]
    )


ROWS = {
    "site": ["x", "z", ""],
    "item": ["a", "", "b"],
    "shop": ["s", "t", ""],
    "tags": [["", "p", "q"], [], ["r"]],
    "clicks": [["a", "", "b", "c"], ["b"], []],
    "code": [5, -1, 6],
}


def test_slots_of_a_row():
    features = make_features()
    assert features.encoded_spec()["encoded_ids"] == ((17,), "int32")
    fields = {f.name: f for f in features.fields()}
    assert {n: f.hashes for n, f in fields.items()} == {
        "site": 1,
        "item": 3,
        "shop": 1,
        "tags": 2,
        "clicks": 3,
        "code": 2,
    }
    taken = sorted(s for f in fields.values() for s in range(f.start, f.start + f.slots))
    assert taken == list(range(17))
    ids = features.encode(ROWS)["encoded_ids"]

    def of(name):
        field = fields[name]
        own = ids[:, field.start : field.start + field.slots]
        return own.reshape(len(ids), field.hashes, field.length)

    item = hash_ids(tf.constant([["a"], ["b"], ["c"]]), [50], [3]).numpy()
    assert of("item")[:, :, 0].tolist() == [item[0].tolist(), [0, 0, 0], item[1].tolist()]
    # A history lists the same ids, the newest first, one function after the other.
    assert of("clicks")[0].tolist() == item[:0:-1].T.tolist()
    assert of("clicks")[1].tolist() == np.stack([item[1], [0, 0, 0]]).T.tolist()
    assert of("clicks")[2].tolist() == [[0, 0]] * 3
    tags = hash_ids(tf.constant([["p"], ["q"], ["r"]]), [30], [2]).numpy()
    assert of("tags")[0].tolist() == tags[:2].T.tolist()
    assert of("tags")[2].tolist() == np.stack([tags[2], [0, 0]]).T.tolist()
    assert of("code")[1].tolist() == [[0], [0]]
    assert (ids >= 0).all()


def test_datasets_and_arrays_are_encoded_alike():
    features = make_features()
    columns = {k: v for k, v in ROWS.items() if k not in ("tags", "clicks")}
    ragged = {k: tf.ragged.constant(ROWS[k], dtype=tf.string) for k in ("tags", "clicks")}
    dataset = tf.data.Dataset.from_tensor_slices({**columns, **ragged}).batch(3)
    dataset = dataset.map(lambda row: {**row, "code": tf.cast(row["code"], tf.int64)})
    found = next(iter(features.encode(dataset)))["encoded_ids"]
    np.testing.assert_array_equal(found, features.encode(ROWS)["encoded_ids"])


def test_batches_of_a_known_size_stay_known():
    features = rk.FeatureSet(
        [
            rk.Categorical("item", hash_buckets=9, num_hashes=2),
            rk.Categorical("tags", hash_buckets=9, num_hashes=2, max_length=3),
            rk.Categorical("genres", vocabulary=["a"], max_length=3),
            rk.History("clicks", of="item", max_length=3),
        ]
    )
    for taken in (["tags"], ["genres"], ["item", "clicks"]):
        part = rk.FeatureSet([features[name] for name in taken])
        columns = {name: ["a", "b"] if name == "item" else [["a"], ["b"]] for name in taken}
        rows = tf.data.Dataset.from_tensor_slices(columns).batch(2, drop_remainder=True)
        assert part.encode(rows).element_spec["encoded_ids"].shape[0] == 2


def test_one_value_by_itself():
    ids = make_features().ids("clicks", tf.constant([["a", ""]]))
    assert ids.shape == (1, 2, 3)
    assert ids[0, 1].numpy().tolist() == [0, 0, 0]


def test_descriptions_of_before_mean_one_hash_function():
    config = rk.Categorical("item", hash_buckets=50).get_config()
    del config["num_hashes"]
    assert rk.Categorical.from_config(config).num_hashes == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_hashes": 2}, "`num_hashes` of feature 'x' needs `hash_buckets`"),
        ({"num_ids": 9, "num_hashes": 2}, "needs `hash_buckets`"),
        ({"vocabulary": ["a"], "num_hashes": 2}, "needs `hash_buckets`"),
        ({"hash_buckets": 9, "num_hashes": 0}, "must be a positive integer"),
        ({"hash_buckets": 9, "num_hashes": 1.5}, "must be a positive integer"),
    ],
)
def test_wrong_numbers_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rk.Categorical("x", **settings)
