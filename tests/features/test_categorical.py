"""Categorical features: column, config, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.features import Categorical
from tests.helpers.features import check_config


@pytest.mark.parametrize(
    "feature",
    [
        Categorical("c"),
        Categorical("c", vocabulary=["a"], oov_buckets=3, embedding_dim=4, side="user", group="g"),
        Categorical("c", vocabulary=[3, 1]),
        Categorical("c", hash_buckets=10, max_length=3, combiner="sqrtn", dtype="int64"),
        Categorical("c", hash_buckets=10, num_hashes=3),
        Categorical("c", num_ids=4, side="candidate"),
        Categorical("c", min_count=2, max_tokens=7, dtype="string"),
    ],
    ids=repr,
)
def test_config_round_trip(feature):
    check_config(feature)


@pytest.mark.parametrize(
    ("feature", "shape", "dtype"),
    [
        (Categorical("x", hash_buckets=3), (None,), "string"),
        (Categorical("x", hash_buckets=3, max_length=2), (None, None), "string"),
        (Categorical("x", num_ids=3), (None,), "int64"),
        (Categorical("x", vocabulary=[1, 2], max_length=2), (None, None), "int64"),
        (Categorical("x", vocabulary=["1"]), (None,), "string"),
        (Categorical("x", vocabulary=np.array([1, 2])), (None,), "int64"),
        (Categorical("x", vocabulary=np.array(["1"])), (None,), "string"),
        (Categorical("x", vocabulary=Path("v.txt")), (None,), "string"),
        (Categorical("x", vocabulary="v.txt", dtype="int64"), (None,), "int64"),
    ],
)
def test_raw_column(feature, shape, dtype):
    assert feature.raw_spec() == tf.TensorSpec(shape, dtype, name="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Categorical("c", hash_buckets=3, num_ids=3),
            "at most one of.*feature 'c'. Received: hash_buckets, num_ids",
        ),
        (
            lambda: Categorical("c", vocabulary=["a"], hash_buckets=3),
            "Received: vocabulary, hash_buckets",
        ),
        (lambda: Categorical("c", hash_buckets=0), "`hash_buckets` of feature 'c'.*hash_buckets=0"),
        (lambda: Categorical("c", hash_buckets=True), "`hash_buckets`.*positive integer.*True"),
        (lambda: Categorical("c", hash_buckets=2**31), "`hash_buckets`.*at most 2147483645"),
        (lambda: Categorical("c", num_ids=2**40), "`num_ids`.*at most 2147483645"),
        (lambda: Categorical("c", num_ids=2.0), "`num_ids` of feature 'c'.*num_ids=2.0"),
        (lambda: Categorical("c", max_length=-1), "`max_length` of feature 'c'.*max_length=-1"),
        (lambda: Categorical("c", embedding_dim=0), "`embedding_dim` of feature 'c'"),
        (lambda: Categorical("c", min_count=0), "`min_count` of feature 'c'"),
        (lambda: Categorical("c", max_tokens=0), "`max_tokens` of feature 'c'"),
        (lambda: Categorical("c", oov_buckets=0), "`oov_buckets` of feature 'c'"),
        (lambda: Categorical("c", combiner="max"), "`combiner` of feature 'c' must be one of"),
        (lambda: Categorical("c", dtype="int32"), "`dtype` of feature 'c' must be"),
        (lambda: Categorical("c", num_ids=3, dtype="string"), "`dtype` of feature 'c'.*'int64'"),
        (lambda: Categorical("c", vocabulary=[]), "`vocabulary` of feature 'c' must not be empty"),
        (lambda: Categorical("c", vocabulary=["a", 1]), r"strings only or ints only.*'int', 'str'"),
        (lambda: Categorical("c", vocabulary=[1.5]), "strings only or ints only.*'float'"),
        (lambda: Categorical("c", vocabulary=[True]), "strings only or ints only.*'bool'"),
        (lambda: Categorical("c", vocabulary=["a", "b\nc"]), r"line breaks.*such as 'b\\nc'"),
        (lambda: Categorical("c", vocabulary=["b\rc"]), "line breaks"),
        (lambda: Categorical("c", vocabulary={"a", "b"}), "must be a list, whose order.*: set"),
        (lambda: Categorical("c", vocabulary={"a": 7}), "must be a list, whose order.*: dict"),
        (lambda: Categorical("c", vocabulary=["a", "b", "a"]), "must hold no 'a' twice"),
        (lambda: Categorical("c", vocabulary=["a", ""]), "no '' which is what is missing"),
        (lambda: Categorical("c", vocabulary=[3, -1]), "no -1 which is what is missing"),
        (lambda: Categorical("c", vocabulary=[2**63]), "beyond 64 bits"),
    ],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("as_dataset", [False, True])
def test_a_column_of_another_type_is_refused_when_features_adapt(as_dataset):
    features = rk.FeatureSet([Categorical("kind"), Categorical("item", hash_buckets=10)])
    rows = {"kind": ["a", "b"], "item": np.array([1, 2])}
    data = tf.data.Dataset.from_tensor_slices(rows).batch(2) if as_dataset else rows
    with pytest.raises(TypeError, match=r"Column 'item' must h.*declare dtype='int64'"):
        features.adapt(data)


@pytest.mark.parametrize(
    "column",
    [
        [["a", "b"], ["c"]],
        ["a", ["b", "c"]],
        pa.array([["a", "b"], None]),
        pd.Series([None, ["a", "b"]]),
        tf.ragged.constant([["a", "b"], []]),
        np.array([["a", "b"], ["c", "d"]]),
    ],
)
def test_lists_in_a_column_of_single_values_name_the_way_out(column):
    for make in (Categorical("x"), Categorical("x", hash_buckets=5)):
        with pytest.raises(ValueError, match=r"Column 'x'.*one value per row.*`max_length`"):
            rk.FeatureSet([make, Categorical("y", num_ids=3)]).adapt({"x": column, "y": [1, 2]})
    data = tf.data.Dataset.from_tensors({"x": tf.ragged.constant([["a", "b"], ["c"]])})
    features = rk.FeatureSet([Categorical("x", hash_buckets=5)])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Column x must have one value"):
        list(features.encode(data))


def test_lists_written_as_text_are_told():
    rows = {"genres": ["['a', 'b']"] * 3 + ["['a']"]}
    with pytest.warns(UserWarning, match=r"'genres' has values such as .*lists written as text"):
        rk.FeatureSet([Categorical("genres")]).adapt(rows)


def test_a_vocabulary_of_any_library():
    for values in (pa.array(["a", "b"]), np.array(["a", "b"]), pd.Series(["a", "b"])):
        assert Categorical("c", vocabulary=values).vocabulary == ["a", "b"]
