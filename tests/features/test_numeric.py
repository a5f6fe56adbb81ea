"""Numeric features: column, config, and what is refused."""

import pytest
import tensorflow as tf

from rankup_keras.features import Numeric
from tests.helpers.features import check_config


@pytest.mark.parametrize(
    "feature",
    [
        Numeric("n"),
        Numeric("n", normalize="log", indicator=False, clip=None, side="user", group="g"),
    ],
    ids=repr,
)
def test_config_round_trip(feature):
    check_config(feature)


@pytest.mark.parametrize(("feature", "shape", "dtype"), [(Numeric("x"), (None,), "float32")])
def test_raw_column(feature, shape, dtype):
    assert feature.raw_spec() == tf.TensorSpec(shape, dtype, name="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Numeric("n", normalize="minmax"), "`normalize` of feature 'n' must be one of"),
        (
            lambda: Numeric("n", clip=0),
            "`clip` of feature 'n' must be positive, None or 'auto'.*clip=0",
        ),
        (lambda: Numeric("n", clip="no"), "`clip` of feature 'n'.*clip='no'"),
        (lambda: Numeric("n", clip=float("nan")), "`clip` of feature 'n'.*clip=nan"),
    ],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_values_left_as_they_are_have_no_limit_unless_one_is_given():
    assert Numeric("n").clip == Numeric("n", normalize="log").clip == 10.0
    assert Numeric("n", normalize=None).clip is None
    assert Numeric("n", normalize=None, clip=3).clip == 3.0
    assert Numeric("n", clip=None).clip is None
