import numpy as np
import pytest

from rankup_keras.diagnostics.clusters import cluster_tokens


def test_groups_that_lie_apart_are_found_token_by_token():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, (200, 2))
    centres = 10.0 * rng.normal(size=(3, 4))
    codes = cluster_tokens(centres[group] + 0.01 * rng.normal(size=(200, 2, 4)), 3, seed=0)
    assert codes.shape == (200, 2)
    for token in range(2):
        pairs = set(zip(group[:, token], codes[:, token], strict=True))
        assert len(pairs) == 3
        assert len({code for _, code in pairs}) == 3


def test_equal_seeds_give_equal_clusters_and_constant_tokens_one():
    x = np.random.default_rng(0).normal(size=(64, 2, 3))
    x[:, 1] = 1.0
    codes = cluster_tokens(x, 4, seed=3)
    np.testing.assert_array_equal(codes, cluster_tokens(x, 4, seed=3))
    assert len(set(codes[:, 1])) == 1


def test_wrong_counts_are_named():
    with pytest.raises(ValueError, match="clusters=True"):
        cluster_tokens(np.zeros((9, 1, 1)), True, 0)
    with pytest.raises(ValueError, match="at least 16 samples"):
        cluster_tokens(np.zeros((9, 1, 1)), 4, 0)
