"""Permutation and slice tokenizers against loops over groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.layers.tokens import PermutationTokenizer, SliceTokenizer
from rankup_keras.layers.tokens.field_groups import balanced_groups
from tests.helpers.layer_test import (
    random_inputs,
    randomize_weights,
    run_layer_test,
    weights_by_name,
)
from tests.reference import tokens as reference


@pytest.mark.parametrize(
    ("dims", "num_tokens", "permutation"),
    [
        ([3] * 6, 3, None),
        ([3] * 7, 3, None),
        ([3] * 2, 2, [1, 0]),
        ([2, 5, 1, 4, 4], 2, [4, 0, 3, 1, 2]),
        ([2, 5, 1, 4, 4], 5, None),
        ([2, 5, 1, 4, 4], 1, None),
    ],
)
def test_permutation_tokenizer(dims, num_tokens, permutation):
    arguments = {
        "num_tokens": num_tokens,
        "token_dim": 4,
        "field_dims": dims,
        "permutation": permutation,
        "seed": 3,
    }
    order = PermutationTokenizer(**arguments).permutation
    layer = PermutationTokenizer(**arguments)
    x = random_inputs((3, sum(dims)))
    assert layer(x).shape == (3, num_tokens, 4) == layer.compute_output_shape(x.shape)
    randomize_weights(layer)
    w = weights_by_name(layer)
    kernel, bias = w["projection/kernel"], w["projection/bias"]
    expected = reference.permutation_tokens(x, dims, order, num_tokens, kernel, bias)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    assert PermutationTokenizer.from_config(layer.get_config()).get_config() == layer.get_config()


def test_permutation_tokenizer_as_a_layer():
    run_layer_test(
        PermutationTokenizer,
        {"num_tokens": 2, "token_dim": 4, "field_dims": [2, 3, 1], "seed": 3},
        input_shape=(3, 6),
        expected_output_shape=(3, 2, 4),
        expected_num_trainable=2,
    )


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=9).flatmap(
        lambda dims: st.tuples(
            st.just(dims), st.integers(1, len(dims)), st.permutations(range(len(dims)))
        )
    )
)
def test_groups_hold_whole_fields_once_and_evenly(case):
    dims, num_tokens, permutation = case
    layer = PermutationTokenizer(num_tokens, 2, dims, permutation)
    sizes = [len(group) for group in layer.groups]
    assert len(sizes) == num_tokens
    assert max(sizes) - min(sizes) <= 1
    assert [field for group in layer.groups for field in group] == list(permutation)
    assert layer.groups == reference.groups_of(permutation, num_tokens)
    # A column tells its field: a group's row must hold its fields' columns, whole and in order.
    field_of = np.repeat(np.arange(len(dims)), dims) + 1.0
    gathered = np.asarray(layer.fields.gather(field_of[None].astype("float32")))[0]
    for row, group in zip(gathered, layer.groups, strict=True):
        expected = [field + 1.0 for field in group for _ in range(dims[field])]
        assert row.tolist() == expected + [0.0] * (len(row) - len(expected))


def test_a_seed_gives_one_permutation_and_the_config_keeps_it():
    make = PermutationTokenizer
    assert make(2, 4, [1] * 20, seed=1).permutation == make(2, 4, [1] * 20, seed=1).permutation
    assert make(2, 4, [1] * 20, seed=1).permutation != make(2, 4, [1] * 20, seed=2).permutation
    config = make(2, 4, [1] * 20, seed=1).get_config()
    assert sorted(config["permutation"]) == list(range(20))


@pytest.mark.parametrize("dims", [[300, 100, 200], [200, 200, 200]])
def test_padding_does_not_narrow_the_initial_kernels(dims):
    layer = PermutationTokenizer(3, 400, dims, [0, 1, 2], kernel_initializer="lecun_normal")
    layer.build((None, sum(dims)))
    kernel = layer.projection.kernel.numpy()
    spread = [kernel[t, :dim].std() for t, dim in enumerate(dims)]
    np.testing.assert_allclose(spread, 1 / np.sqrt(dims), rtol=0.02)


@pytest.mark.parametrize(("width", "num_tokens"), [(12, 3), (13, 3), (7, 7), (5, 4), (9, 1)])
def test_slice_tokenizer(width, num_tokens):
    layer = SliceTokenizer(num_tokens, 4)
    x = random_inputs((3, width))
    assert layer(x).shape == (3, num_tokens, 4) == layer.compute_output_shape(x.shape)
    randomize_weights(layer)
    w = weights_by_name(layer)
    kernel, bias = w["projection/kernel"], w["projection/bias"]
    expected = reference.slice_tokens(x, num_tokens, kernel, bias)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_slice_tokenizer_as_a_layer():
    run_layer_test(
        SliceTokenizer,
        {"num_tokens": 3, "token_dim": 4, "kernel_initializer": "he_normal"},
        input_shape=(3, 7),
        expected_output_shape=(3, 3, 4),
        expected_num_trainable=2,
    )


def test_balanced_groups():
    assert balanced_groups([4, 3, 2, 1, 0], 3) == [[4, 3], [2, 1], [0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PermutationTokenizer(4, 8, [2, 2, 2]),
            "`num_tokens` must lie between 1 and the number of fields, 3.*num_tokens=4",
        ),
        (lambda: PermutationTokenizer(0, 8, [2, 2]), "num_tokens=0"),
        (
            lambda: PermutationTokenizer(2, 8, [2, 2, 2], [0, 1, 1]),
            r"`permutation` must name each of the 3 fields once.*\[0, 1, 1\]",
        ),
        (lambda: PermutationTokenizer(2, 8, [2, 2, 2], [0, 1]), r"Received: \[0, 1\]"),
        (
            lambda: PermutationTokenizer(2, 8, [2, 3]).build((None, 6)),
            r"as wide as `field_dims` sum up to, 5. Received: shape=\(None, 6\)",
        ),
        (lambda: SliceTokenizer(0, 8), "must be positive. Received: num_tokens=0, token_dim=8"),
        (lambda: SliceTokenizer(2, 0), "must be positive. Received: num_tokens=2, token_dim=0"),
        (
            lambda: SliceTokenizer(4, 8).build((None, 3)),
            r"`num_tokens` must not exceed the width.*num_tokens=4, shape=\(None, 3\)",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
