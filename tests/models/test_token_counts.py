"""Sizes that models choose, and that the sizes named by their errors work."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.models.token_counts import choose_sparse_tokens, choose_tokens, choose_width
from tests.models import tiny

small = st.integers(1, 40)


def lists_in(message):
    return [
        [int(n) for n in re.findall(r"-?\d+", part)] for part in re.findall(r"\[.*?\]", message)
    ]


@given(st.integers(1, 130), st.integers(0, 80), small, st.one_of(st.none(), st.integers(-2, 40)))
def test_sparse_tokens(token_dim, others, fields, wanted):
    try:
        count = choose_sparse_tokens(token_dim, others, fields, wanted)
    except ValueError as error:
        message = str(error)
        named = re.search(r"num_sparse_tokens in (\[.*?\])", message)
        for n in lists_in(named[1])[0] if named else []:
            assert choose_sparse_tokens(token_dim, others, fields, n) == n
        widths = re.search(r"token_dim in (\[.*?\])", message)
        for width in lists_in(widths[1])[0] if widths else []:
            assert choose_sparse_tokens(width, others, fields, wanted) == wanted
        such_as = re.search(r"such as (\d+)\.$", message)
        if such_as:
            assert choose_sparse_tokens(int(such_as[1]), others, fields, None) >= 1
        assert named or widths or such_as or "no num_sparse_tokens" in message
        if wanted is None:
            assert not any(token_dim % (n + others) == 0 for n in range(1, fields + 1))
        else:
            assert not 1 <= wanted <= fields or token_dim % (wanted + others)
    else:
        assert 1 <= count <= fields
        assert token_dim % (count + others) == 0
        assert wanted in (None, count)


@given(st.integers(0, 80), small, st.one_of(st.none(), small))
def test_chosen_width_works(others, fields, wanted):
    wanted = None if wanted is None else min(wanted, fields)
    width = choose_width(others, fields, wanted)
    assert width >= 64
    assert choose_sparse_tokens(width, others, fields, wanted) >= 1


@given(st.integers(1, 130), small, st.one_of(st.none(), st.integers(-2, 150)))
def test_tokens(token_dim, fields, wanted):
    try:
        count = choose_tokens(token_dim, fields, wanted)
    except ValueError as error:
        (counts,) = lists_in(str(error))
        assert counts
        for n in counts:
            assert choose_tokens(token_dim, fields, n) == n
        width = re.search(r"a width of (\d+)", str(error))
        assert bool(width) == (wanted > 0)
        if width:
            assert choose_tokens(int(width[1]), fields, wanted) == wanted
    else:
        assert token_dim % count == 0
        assert wanted in (None, count)


@pytest.mark.parametrize("token_dim", [0, -8, 64.0, True, "64"])
def test_wrong_width(token_dim):
    with pytest.raises(ValueError, match="`token_dim` must be a positive integer"):
        choose_sparse_tokens(token_dim, 3, 5, None)
    with pytest.raises(ValueError, match="`token_dim` must be a positive integer"):
        choose_tokens(token_dim, 5, None)


def test_sizes_named_by_a_model_build():
    with pytest.raises(ValueError, match="must divide their width") as error:
        tiny.make_rankup(token_dim=16, num_sparse_tokens=3)
    counts, widths = lists_in(str(error.value))
    assert counts == [2]
    assert widths
    for n in counts:
        assert tiny.make_rankup(token_dim=16, num_sparse_tokens=n).count_params()
    for width in widths:
        assert tiny.make_rankup(token_dim=width, num_sparse_tokens=3).count_params()
    with pytest.raises(ValueError, match="`num_tokens` must divide the token width") as error:
        tiny.make_rankmixer(token_dim=16, num_tokens=6)
    for n in lists_in(str(error.value))[0]:
        assert tiny.make_rankmixer(token_dim=16, num_tokens=n).count_params()
    width = int(re.search(r"a width of (\d+)", str(error.value))[1])
    assert tiny.make_rankmixer(token_dim=width, num_tokens=6).count_params()
