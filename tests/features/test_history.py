"""Histories: column, config, and what is refused."""

import pytest

from rankup_keras.features import Categorical, Events, FeatureSet, History
from tests.helpers.features import check_config


@pytest.mark.parametrize(
    "feature",
    [
        History("s", of="c", max_length=5),
        History("s", "c", 5, "newest_first", combiner="sum", matches=True, side=None, group="g"),
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


@pytest.mark.parametrize("hashes", [1, 2])
def test_the_newest_value_is_first_as_in_events_whatever_the_order_in_the_data(hashes):
    item = Categorical("item", hash_buckets=99, dtype="int64", num_hashes=hashes)
    lists = [[5, 6, 7, 8], [], [9], [3, 4]]

    def encoded(sequence, values):
        rows = {"item": [0] * 4, "seen": values}
        return FeatureSet([item, sequence]).encode(rows)["encoded_ids"][:, hashes:]

    of_events = encoded(Events("e", {"seen": "item"}, max_length=3), lists)
    oldest = encoded(History("seen", of="item", max_length=3), lists)
    reverse = [row[::-1] for row in lists]
    newest = encoded(History("seen", of="item", max_length=3, order="newest_first"), reverse)
    assert oldest.tolist() == newest.tolist() == of_events.tolist()
    assert len(set(oldest[0].tolist())) == 3 * hashes  # or equality would say nothing of order
