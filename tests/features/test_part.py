import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.features.part import Part

ROWS = {
    "user": ["u1", "u2", ""],
    "price": [1.0, np.nan, 4.0],
    "item": ["a", "b", "c"],
    "seen": [["a", "b"], [], ["c"]],
    "words": [["x"], ["y", "z"], []],
    "width": [2.0, 3.0, 5.0],
    "now": [100_000, 200_000, 300_000],
    "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    "e_item": [["c"], ["a", "b"], []],
    "e_time": [[5], [1, 2], []],
}


@pytest.fixture(scope="module")
def features():
    events = rk.Events("e", {"e_item": "item"}, max_length=3, time="e_time", request_time="now")
    return rk.FeatureSet(
        [
            rk.Categorical("user", hash_buckets=9, num_hashes=2),
            rk.Numeric("price"),
            rk.Categorical("item"),
            rk.History("seen", of="item", max_length=3),
            rk.Categorical("words", max_length=2, hash_buckets=5),
            rk.Numeric("width", normalize=None),
            rk.Timestamp("now", cycles=["hour"]),
            rk.Pretrained("vector", dim=2),
            events,
        ]
    ).adapt(ROWS)


@pytest.mark.parametrize(
    "names",
    [
        ["user", "price"],
        ["seen", "width"],  # the table's own feature is not there
        ["words", "vector", "item"],
        ["e", "now"],
    ],
)
def test_a_part_is_encoded_as_in_the_whole(features, names):
    part = Part(features, names)
    found, whole = (
        part.encode({name: ROWS[name] for name in part.raw_spec()}),
        features.encode(ROWS),
    )
    assert {k: (x.shape[1:], x.dtype) for k, x in found.items()} == {
        k: (shape, dtype) for k, (shape, dtype) in part.encoded_spec().items()
    }
    slots = {field.name: field for field in features.fields()}
    for field in part.fields():
        there = slots[field.name]
        np.testing.assert_array_equal(
            found["encoded_ids"][:, field.start : field.start + field.slots],
            whole["encoded_ids"][:, there.start : there.start + there.slots],
        )
    if part.numeric_names():
        own = [features.numeric_names().index(name) for name in part.numeric_names()]
        np.testing.assert_allclose(
            found["encoded_numeric"], whole["encoded_numeric"][:, own], rtol=1e-5
        )
    for key in {"encoded_vectors", "encoded_events"} & set(found):
        np.testing.assert_array_equal(found[key], whole[key])


def test_without_any_of_a_kind_there_is_no_tensor(features):
    assert set(Part(features, ["price"]).call({"price": tf.constant([1.0])})) == {"encoded_numeric"}
