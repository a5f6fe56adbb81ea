"""What every feature has in common."""

import numpy as np
import pytest

from rankup_keras.features import Categorical, Numeric
from rankup_keras.features.feature import Feature


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categorical(""), "`name` must be a non-empty string. Received: name=''"),
        (lambda: Categorical(3), "`name` must be a non-empty string. Received: name=3"),
        (lambda: Numeric("encoded_ids"), "the package's own tensor names.*'encoded_ids'"),
        (lambda: Numeric("n", side="item"), "`side` of feature 'n' must be one of.*'item'"),
    ],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_feature_of_ones_own_must_say_what_its_column_is():
    with pytest.raises(NotImplementedError):
        Feature("x").raw_spec()


def test_integers_of_numpy_are_integers():
    made = Categorical("c", hash_buckets=np.int64(7), max_length=np.array([2, 5]).max())
    assert made.get_config() == Categorical("c", hash_buckets=7, max_length=5).get_config()
    assert type(made.hash_buckets) is int
    with pytest.raises(ValueError, match="positive integer"):
        Categorical("c", num_ids=np.float64(7))
