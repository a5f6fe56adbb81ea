"""Feature sets and rows that are refused, each in one sentence."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk


@pytest.mark.parametrize(
    ("described", "error", "message"),
    [
        ([], ValueError, "`features` must name at least one"),
        (["user"], TypeError, "`features` must be a list of.*type str"),
        (
            [rk.Numeric("a"), rk.Categorical("a"), rk.Numeric("b")],
            ValueError,
            r"different names. Duplicates: \['a'\]",
        ),
        (
            [rk.Categorical("a"), rk.History("s", of="b", max_length=2)],
            ValueError,
            r"`of` of history 's'.*one of \['a'\]. Received: of='b'",
        ),
        (
            [rk.Categorical("a", max_length=3), rk.History("s", of="a", max_length=2)],
            ValueError,
            "must name a single-valued Categorical",
        ),
        (
            [rk.Numeric("a"), rk.History("s", of="a", max_length=2)],
            ValueError,
            "must name a single-valued Categorical",
        ),
    ],
)
def test_wrong_description(described, error, message):
    with pytest.raises(error, match=message):
        rk.FeatureSet(described)


def unbatched(data):
    return tf.data.Dataset.from_tensor_slices(data)


FEW = {"c": np.array(["a", "b"]), "n": np.array([1.0, 2.0]), "i": np.array([0, 1])}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"c": ["a"], "n": [1.0]}, ValueError, r"Columns are missing: \['i'\]"),
        ({**FEW, "n": [1.0]}, ValueError, "must have equal length"),
        ({**FEW, "n": ["x", "y"]}, TypeError, "Column 'n' must hold numbers"),
        ({**FEW, "i": [0.5, 1.0]}, TypeError, "Column 'i' must hold 64-bit integers"),
        (unbatched(FEW), ValueError, r"without a batch dimension.*dataset.batch\(1024\)"),
        (unbatched({"c": ["a"]}).batch(1), ValueError, "Columns are missing"),
        (unbatched({**FEW, "n": ["x", "y"]}).batch(2), TypeError, "'n' must have dtype float32"),
        ("rows.csv", TypeError, "Raw rows must be a dict of columns.*str"),
        (unbatched(np.zeros((2, 2))).batch(2), TypeError, "must yield a dict of columns"),
    ],
)
def test_wrong_data(data, error, message):
    described = [
        rk.Categorical("c", hash_buckets=3),
        rk.Numeric("n"),
        rk.Categorical("i", num_ids=2),
    ]
    with pytest.raises(error, match=message):
        rk.FeatureSet(described).adapt(data)
    with pytest.raises(error, match=message):
        rk.FeatureSet(described).encode(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({**FEW, "i": [0, 2]}, r"Column 'i', row 1: Id 2 is not in \[0, 2\)"),
        ({**FEW, "i": [0, -2]}, "row 1: Id -2 is not in"),
        ({"c": [], "n": [], "i": []}, "`data` has no rows to adapt to"),
        ({**FEW, "c": ["", None]}, "Feature 'c' has no value that occurs at least 1"),
        (unbatched(FEW).batch(2).repeat(), "repeats without end"),
    ],
)
def test_nothing_to_learn_from(data, message):
    described = [rk.Categorical("c"), rk.Numeric("n"), rk.Categorical("i", num_ids=2)]
    with pytest.raises(ValueError, match=message):
        rk.FeatureSet(described).adapt(data)
