import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features import Categorical, FeatureSet
from rankup_keras.serving.padding import missing_value, widen


@pytest.mark.parametrize(
    ("dtype", "column", "wide"),
    [
        ("string", np.array([["a"]], object), [["a", b"", b""]]),
        ("int64", np.array([[3]]), [[3, -1, -1]]),
        ("float32", np.array([[0.5]], np.float32), [[0.5, np.nan, np.nan]]),
    ],
)
def test_lists_are_padded_with_what_means_missing(dtype, column, wide):
    spec = tf.TensorSpec((None, None), dtype)
    got = widen(column, 3, spec)
    assert got.dtype == column.dtype
    for value, want in zip(got[0], wide[0], strict=True):
        assert value == want or (value != value and want != want)
    assert widen(got, 2, spec) is got


@pytest.mark.parametrize("dtype", ["string", "int64"])
def test_preprocessing_takes_it_for_missing(dtype):
    features = FeatureSet([Categorical("tags", hash_buckets=9, dtype=dtype, max_length=2)])
    spec = features.raw_spec()["tags"]
    missing = tf.constant([[missing_value(spec)] * 2], spec.dtype)
    assert features({"tags": missing})["encoded_ids"].numpy().tolist() == [[0, 0]]
