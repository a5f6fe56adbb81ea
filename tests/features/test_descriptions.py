"""Every kind of feature: its column, its config, and what it refuses."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features import Categorical, History, Numeric, Pretrained
from rankup_keras.features.feature import Feature

EXAMPLES = [
    Categorical("c"),
    Categorical("c", vocabulary=["a"], oov_buckets=3, embedding_dim=4, side="user", group="g"),
    Categorical("c", vocabulary=[3, 1]),
    Categorical("c", hash_buckets=10, max_length=3, combiner="sqrtn", dtype="int64"),
    Categorical("c", hash_buckets=10, num_hashes=3),
    Categorical("c", num_ids=4, side="candidate"),
    Categorical("c", min_count=2, max_tokens=7, dtype="string"),
    Numeric("n"),
    Numeric("n", normalize="log", indicator=False, clip=None, side="user", group="g"),
    History("s", of="c", max_length=5),
    History("s", of="c", max_length=5, keep="first", combiner="sum", side=None, group="g"),
    Pretrained("p", dim=8),
    Pretrained("p", dim=8, side="candidate", group="g"),
]


@pytest.mark.parametrize("feature", EXAMPLES, ids=repr)
def test_config_round_trip(feature):
    config = keras.saving.serialize_keras_object(feature)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(feature)
    assert again.get_config() == feature.get_config()
    assert again.raw_spec() == feature.raw_spec()
    assert feature.name in repr(feature)


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
        (Numeric("x"), (None,), "float32"),
        (Pretrained("x", dim=3), (None, 3), "float32"),
    ],
)
def test_raw_column(feature, shape, dtype):
    assert feature.raw_spec() == tf.TensorSpec(shape, dtype, name="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categorical(""), "`name` must be a non-empty string. Received: name=''"),
        (lambda: Categorical(3), "`name` must be a non-empty string. Received: name=3"),
        (lambda: Numeric("a/b"), "`name` must not contain '/'.*name='a/b'"),
        (lambda: Numeric("encoded_ids"), "the package's own tensor names.*'encoded_ids'"),
        (lambda: Numeric("n", side="item"), "`side` of feature 'n' must be one of.*'item'"),
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
        (lambda: Numeric("n", normalize="minmax"), "`normalize` of feature 'n' must be one of"),
        (
            lambda: Numeric("n", clip=0),
            "`clip` of feature 'n' must be positive, None or 'auto'.*clip=0",
        ),
        (lambda: Numeric("n", clip="no"), "`clip` of feature 'n'.*clip='no'"),
        (lambda: Numeric("n", clip=float("nan")), "`clip` of feature 'n'.*clip=nan"),
        (lambda: History("s", of="c", max_length=0), "`max_length` of feature 's'"),
        (lambda: History("s", of="c", max_length=3, keep="mid"), "`keep` of feature 's'.*'mid'"),
        (lambda: History("s", of="c", max_length=3, combiner="x"), "`combiner` of feature 's'"),
        (lambda: Pretrained("p", dim=0), "`dim` of feature 'p' must be a positive integer"),
    ],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_feature_of_ones_own_must_say_what_its_column_is():
    with pytest.raises(NotImplementedError):
        Feature("x").raw_spec()


def test_values_left_as_they_are_have_no_limit_unless_one_is_given():
    assert Numeric("n").clip == Numeric("n", normalize="log").clip == 10.0
    assert Numeric("n", normalize=None).clip is None
    assert Numeric("n", normalize=None, clip=3).clip == 3.0
    assert Numeric("n", clip=None).clip is None
