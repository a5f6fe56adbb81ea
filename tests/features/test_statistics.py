"""What `adapt` learns, against plain Python."""

import pathlib
import tempfile
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rankup_keras as rk
from rankup_keras.features import Categorical, Numeric
from rankup_keras.features.statistics import Learner, Moments
from rankup_keras.features.target import Target
from tests.reference import features as reference

words = st.sampled_from(["", "a", "b", "ab", "é", "日本", " ", "line\u2028", "A"])


def learned(feature, batches):
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(
            [feature],
            {feature.name: Target(feature.name, feature.name, feature.dtype)},
            pathlib.Path(folder),
        )
        for batch in batches:
            learner.update(feature.name, pa.array(batch, learner.counts[feature.name].type))
        if not learner.counts[feature.name].total:
            with pytest.raises(ValueError, match="vocabulary would be empty"):
                learner.ranked(feature.name)
            return []
        try:
            ranked = learner.ranked(feature.name)
        except ValueError:
            return []
        written = learner.write(feature.name, ranked).read_text().split("\n")
    values = ranked["value"].to_pylist()
    values = [v.decode() if isinstance(v, bytes) else v for v in values]
    assert written == [*map(str, values), ""]
    return values


@given(st.lists(st.lists(words, max_size=8), max_size=4), st.integers(1, 3), st.integers(1, 5))
def test_vocabulary(batches, min_count, max_tokens):
    feature = Categorical("c", dtype="string", min_count=min_count, max_tokens=max_tokens)
    flat = [word for batch in batches for word in batch]
    expected = reference.vocabulary_of(flat, "", min_count, max_tokens)
    assert learned(feature, batches) == expected


@given(st.lists(st.lists(st.integers(-3, 3), max_size=8), max_size=4))
def test_vocabulary_of_integers(batches):
    flat = [value for batch in batches for value in batch]
    actual = learned(Categorical("c", dtype="int64"), batches)
    assert actual == reference.vocabulary_of(flat, -1)
    assert all(type(value) is int for value in actual)


def test_unreadable_values_stay_out_and_are_counted():
    feature = Categorical("shop", dtype="string")
    with pytest.warns(UserWarning, match=r"^4 values of feature 'shop' hold a line break or a"):
        assert learned(feature, [[b"a", b"\xff\xfe", b"x\ny", b"x\r", b"b\0", b"b"]]) == ["a", "b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learned(feature, [["a"]]) == ["a"]


numbers = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e30, 1e9])
)


@given(
    st.lists(st.lists(numbers, max_size=6), max_size=4), st.sampled_from(["standard", "log", None])
)
def test_moments(batches, normalize):
    learner = Moments(Numeric("n", normalize=normalize))
    for batch in batches:
        learner.update(np.array(batch, np.float32))
    flat = np.array([x for batch in batches for x in batch], np.float32)
    expected = reference.numeric_statistics(flat, normalize)
    np.testing.assert_allclose(learner.statistics(), expected, rtol=1e-9, atol=1e-9)


def test_moments_of_large_close_numbers():
    learner = Moments(Numeric("n"))
    values = np.float32(1.7e9) + np.array([0, 128, 256, 384], np.float32)
    for value in values:
        learner.update(value[None])
    mean, deviation = learner.statistics()
    assert mean == values.astype(np.float64).mean()
    np.testing.assert_allclose(deviation, 128 * np.sqrt(1.25), rtol=1e-9)


@pytest.mark.parametrize("values", [[0.1] * 7, [1e30] * 7, [-3.0], [np.nan] * 3, []])
def test_moments_of_a_constant_column_leave_it_unscaled(values):
    learner = Moments(Numeric("n"))
    learner.update(np.array(values, np.float32))
    learner.update(np.array(values, np.float32))
    mean, deviation = learner.statistics()
    known = [value for value in values if np.isfinite(value)]
    np.testing.assert_allclose(mean, np.float32(known[0]) if known else 0.0)
    assert deviation == 1.0


def test_numbers_that_float32_has_no_room_for_are_missing_and_told():
    features = rk.FeatureSet([Numeric("n"), Numeric("small")])
    rows = {"n": [np.finfo(float).max, 1.0, 3.0], "small": [1e-20, 2e-20, 3e-20]}
    with pytest.warns(UserWarning, match="1 values of feature 'n' are beyond what float32 holds"):
        features.adapt(rows)
    found = features.encode(rows)["encoded_numeric"]
    np.testing.assert_allclose(found[:, 0], [0, -1, 1], atol=1e-6)
    assert found[:, 2].tolist() == [1, 0, 0]
    np.testing.assert_allclose(found[:, 1], np.array([-1, 0, 1]) * np.sqrt(1.5), atol=1e-6)


def test_numbers_of_an_earlier_adapt_do_not_choose_the_type():
    features = rk.FeatureSet([Numeric("n")])
    rows = {"n": 1.7e9 + np.arange(50)}
    features.adapt({"n": [1.0, 2.0]}).adapt(rows)
    assert len(np.unique(features.encode(rows)["encoded_numeric"][:, 0])) == 50
