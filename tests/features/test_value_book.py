"""Where values stood before."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.features.value_book import former_places

VALUES = st.lists(st.text(max_size=3), unique=True, max_size=12)


def pieces(values, size):
    return [pa.array(values[i : i + size], pa.string()) for i in range(0, len(values), size)]


@given(VALUES, VALUES, st.integers(1, 5))
def test_places_are_those_of_a_dict(values, former, size):
    places = {value: place for place, value in enumerate(former)}
    found = former_places(pieces(values, size), pieces(former, size))
    assert found.tolist() == [places.get(value, -1) for value in values]


@given(st.permutations(list("abcdefgh")))
def test_values_in_another_order(values):
    found = former_places(pieces(values, 3), pieces(list("abcdefgh"), 3))
    assert found.tolist() == ["abcdefgh".index(value) for value in values]
