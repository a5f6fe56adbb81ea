"""Token mixing against loops over heads and tokens, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.layers.mixers import TokenMixing
from tests.helpers.layer_test import run_layer_test
from tests.reference.mixers import token_mixing


@pytest.mark.parametrize(("heads", "shape"), [(None, (3, 4, 8)), (8, (3, 2, 8))])
def test_layer(heads, shape):
    batch, tokens, width = shape
    out = heads or tokens
    run_layer_test(
        TokenMixing,
        {"num_heads": heads},
        input_shape=shape,
        expected_output_shape=(batch, out, tokens * width // out),
        expected_num_trainable=0,
        reference=lambda x, w: token_mixing(x, heads),
    )


sizes = st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3))


@given(sizes)
def test_as_many_heads_as_tokens(size):
    tokens, head_dim, batch = size
    width = tokens * head_dim
    x = np.random.default_rng(0).normal(size=(batch, tokens, width)).astype("float32")
    mixing = TokenMixing()
    mixed = mixing(x).numpy()
    # Its own inverse.
    np.testing.assert_array_equal(mixing(mixed), x)
    # Row t is slice t of every token.
    for t in range(tokens):
        rows = [x[:, i, t * head_dim : (t + 1) * head_dim] for i in range(tokens)]
        np.testing.assert_array_equal(mixed[:, t], np.concatenate(rows, axis=1))
    # On the flattened matrix, a symmetric permutation.
    units = np.eye(tokens * width, dtype="float32").reshape(-1, tokens, width)
    permutation = mixing(units).numpy().reshape(tokens * width, -1)
    np.testing.assert_array_equal(permutation, permutation.T)
    assert (permutation.sum(axis=0) == 1).all()
    assert set(np.unique(permutation)) <= {0.0, 1.0}


@given(st.integers(1, 6), sizes)
def test_mixing_with_as_many_heads_as_there_were_tokens_reverts(heads, size):
    tokens, head_dim, batch = size
    x = np.random.default_rng(0).normal(size=(batch, tokens, heads * head_dim)).astype("float32")
    mixed = TokenMixing(heads)(x)
    assert mixed.shape == (batch, heads, tokens * head_dim)
    np.testing.assert_array_equal(TokenMixing(tokens)(mixed), x)


def test_equal_tokens_have_rank_one_before_and_more_after():
    token = np.random.default_rng(0).normal(size=(1, 1, 36))
    x = np.repeat(token, 6, axis=1).astype("float32")
    assert np.linalg.matrix_rank(x[0]) == 1
    assert np.linalg.matrix_rank(TokenMixing()(x).numpy()[0]) == 6


@pytest.mark.parametrize("heads", [None, 5])
def test_heads_that_do_not_divide_the_width(heads):
    x = np.zeros((2, 5, 12), "float32")
    message = r"must divide the token width. Received: num_heads=5, token width 12"
    with pytest.raises(ValueError, match=message) as error:
        TokenMixing(heads)(x)
    assert "nearest that do: [3, 4, 6]; or a width of 15." in str(error.value)
    for works in (3, 4, 6):
        assert TokenMixing(works)(x).shape == (2, works, 60 // works)
    assert TokenMixing(heads)(np.zeros((2, 5, 15), "float32")).shape == (2, 5, 15)


def test_other_wrong_arguments():
    with pytest.raises(ValueError, match="`num_heads` must be positive"):
        TokenMixing(0)
    with pytest.raises(ValueError, match=r"number of tokens and their width.*\(None, None, 8\)"):
        TokenMixing().build((None, None, 8))
