"""Histories: column, config, and what is refused."""

import pytest

from rankup_keras.features import History
from tests.helpers.features import check_config


@pytest.mark.parametrize(
    "feature",
    [
        History("s", of="c", max_length=5),
        History(
            "s", of="c", max_length=5, order="newest_first", combiner="sum", side=None, group="g"
        ),
    ],
    ids=repr,
)
def test_config_round_trip(feature):
    check_config(feature)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: History("s", of="c", max_length=0), "`max_length` of feature 's'"),
        (lambda: History("s", of="c", max_length=3, order="mid"), "`order` of feature 's'.*'mid'"),
        (lambda: History("s", of="c", max_length=3, combiner="x"), "`combiner` of feature 's'"),
    ],
)
def test_wrong_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
