"""Rows sorted into batches of about equally long sequences."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk


def make_features():
    return rk.FeatureSet(
        [
            rk.Categorical("row", num_ids=200),
            rk.Events("clicks", {"clicked": "row"}, 60, numbers={"dwell": None}),
            rk.History("seen", of="row", max_length=50),
        ]
    )


def make_data(rows=100):
    counts = np.random.default_rng(0).permutation(rows) % 50
    columns = {
        "row": np.arange(rows),
        "clicked": [[1] * n for n in counts],
        "dwell": [[2.0] * n for n in counts],
        "seen": [[1] * n for n in counts],
    }
    labels = {"click": np.arange(rows) % 2}
    encoded = make_features().encode(columns)
    return tf.data.Dataset.from_tensor_slices((encoded, labels)).batch(13), counts


def numbers(batches):
    return [x["encoded_ids"][:, 0] - 2 for x, _ in batches]


def test_rows_are_the_same_in_batches_of_like_lengths():
    data, counts = make_data()
    arranged = rk.data.by_length(data, make_features(), 8, window=6, seed=1)
    first, second = (list(arranged.as_numpy_iterator()) for _ in range(2))
    found = numbers(first)
    assert [len(x) for x in found] == [8] * 12 + [4]
    assert sorted(np.concatenate(found)) == list(range(100))
    for x, y in first:
        np.testing.assert_array_equal(y["click"], (x["encoded_ids"][:, 0] - 2) % 2)
    # Of a window of 48 rows the batches are its sixths, in random order.
    spans = [(counts[x].min(), counts[x].max()) for x in found[:6]]
    by_start = sorted(spans)
    assert by_start != spans
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(by_start))
    assert any((a != b).any() for a, b in zip(found, numbers(second), strict=True))


def test_refused():
    data, _ = make_data(10)
    with pytest.raises(ValueError, match="`batch_size` and `window` must be positive"):
        rk.data.by_length(data, make_features(), 0)
    plain = rk.FeatureSet([rk.Categorical("row", num_ids=9)])
    with pytest.raises(ValueError, match="`features` must have sequences"):
        rk.data.by_length(data, plain, 8)
    raw = tf.data.Dataset.from_tensors({"row": [1]})
    with pytest.raises(ValueError, match="`batches` must have encoded rows"):
        rk.data.by_length(raw, make_features(), 8)
