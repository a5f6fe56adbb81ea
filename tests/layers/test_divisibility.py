import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.layers.divisibility import divisors, must_divide, nearest


def test_divisors():
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert divisors(1) == [1]


def test_nearest_are_in_order():
    assert nearest(5, divisors(12)) == [3, 4, 6]
    assert nearest(5, [7]) == [7]


@given(st.integers(-2, 150), st.integers(1, 130))
def test_what_the_message_names_works(count, width):
    if count > 0 and width % count == 0:
        must_divide("num_heads", count, width)
        return
    with pytest.raises(ValueError, match="`num_heads` must divide the token width") as error:
        must_divide("num_heads", count, width)
    message = str(error.value)
    assert f"num_heads={count}, token width {width}" in message
    for number in re.findall(r"\d+", re.search(r"\[(.*)\]", message)[1]):
        must_divide("num_heads", int(number), width)
    wider = re.search(r"a width of (\d+)", message)
    assert bool(wider) == (count > 0)
    if wider:
        must_divide("num_heads", count, int(wider[1]))
