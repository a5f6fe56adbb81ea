"""Pretrained vectors: column, config, and what is refused."""

import pytest
import tensorflow as tf

from rankup_keras.features import Pretrained
from tests.helpers.features import check_config


@pytest.mark.parametrize(
    "feature",
    [Pretrained("p", dim=8), Pretrained("p", dim=8, side="candidate", group="g")],
    ids=repr,
)
def test_config_round_trip(feature):
    check_config(feature)


@pytest.mark.parametrize(
    ("feature", "shape", "dtype"), [(Pretrained("x", dim=3), (None, 3), "float32")]
)
def test_raw_column(feature, shape, dtype):
    assert feature.raw_spec() == tf.TensorSpec(shape, dtype, name="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Pretrained("p", dim=0), "`dim` of feature 'p' must be a positive integer")],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
