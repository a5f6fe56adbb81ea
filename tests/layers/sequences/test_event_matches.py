"""What events have of the candidate, against loops over them."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.layers import EventMatches
from tests.helpers.layer_test import run_layer_test
from tests.helpers.several_inputs import of_a_list

IDS = st.integers(0, 4)
GAPS = np.array([[0.1, 0.4, 1.2], [0.0, 0.5, 0.9]], "float32")
NUMBERS = np.arange(12, dtype="float32").reshape(2, 3, 2)


def reference(candidate, events, gap, numbers, hashes, first_known):
    rows = []
    for b, own in enumerate(candidate):
        ids = events[b].reshape(hashes, -1).T
        places = [t for t, e in enumerate(ids) if (e == own).all() and (e >= first_known).all()]
        length = len(ids)
        gaps = [math.log1p(t) / math.log1p(length) if gap is None else gap[b, t] for t in places]
        row = [math.log1p(len(places)), max([0.0, *(1 - g for g in gaps)])]
        if numbers is not None:
            row += list(numbers[b, places].mean(0) if places else np.zeros(numbers.shape[2]))
        rows.append(row)
    return np.array(rows)


@given(
    candidate=arrays.arrays(np.int32, (2, 2), elements=IDS),
    events=arrays.arrays(np.int32, (2, 6), elements=IDS),
    hashes=st.sampled_from([1, 2]),
    first_known=st.integers(1, 3),
    given_gap=st.booleans(),
    given_numbers=st.booleans(),
)
def test_equation(candidate, events, hashes, first_known, given_gap, given_numbers):
    candidate, events = candidate[:, :hashes], events[:, : 3 * hashes]
    gap, numbers = GAPS if given_gap else None, NUMBERS if given_numbers else None
    found = EventMatches(hashes, first_known)(candidate, events, gap, numbers)
    want = reference(candidate, events, gap, numbers, hashes, first_known)
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_events_of_more_than_a_year_ago_are_not_recent():
    found = EventMatches()(np.array([[3]]), np.array([[3, 3]]), np.array([[1.1, 1.3]]))
    np.testing.assert_allclose(found, [[math.log(3), 0]], rtol=1e-6)


def test_as_a_layer():
    candidate, events = np.array([[3], [2]], "int32"), np.array([[3, 1, 3], [3, 0, 0]], "int32")
    run_layer_test(
        of_a_list(EventMatches),
        {"first_known": 2},
        inputs=[candidate, events, GAPS, NUMBERS],
        expected_num_trainable=0,
        reference=lambda x, _: reference(*x, hashes=1, first_known=2),
    )


def test_what_stands_elsewhere_changes_nothing():
    candidate, events = np.array([[3], [2]]), np.array([[3, 1, 3], [3, 0, 0]])
    other = events[..., None] != candidate[:, None]
    wild = np.where(other, np.nan, NUMBERS), np.where(other[..., 0], np.nan, GAPS)
    layer = EventMatches()
    want = layer(candidate, events, GAPS, NUMBERS)
    np.testing.assert_array_equal(layer(candidate, events, wild[1], wild[0]), want)


def test_one_users_events_for_all_candidates():
    candidates, events = np.array([[3], [2], [1]]), np.array([[3, 1, 3]])
    repeated = [np.repeat(x, 3, 0) for x in (events, GAPS[:1], NUMBERS[:1])]
    want = EventMatches()(candidates, *repeated)
    found = EventMatches()(candidates, events, GAPS[:1], NUMBERS[:1])
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("argument", ["hashes", "first_known"])
def test_refused(argument):
    with pytest.raises(ValueError, match="`hashes` and `first_known` must be positive"):
        EventMatches(**{argument: 0})
