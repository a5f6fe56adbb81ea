"""What every feature has in common."""

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
