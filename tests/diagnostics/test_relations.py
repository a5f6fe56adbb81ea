import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from rankup_keras.diagnostics import (
    label_information,
    token_cosine_similarity,
    token_mutual_information,
    token_relations,
)
from rankup_keras.diagnostics.clusters import cluster_tokens
from tests.diagnostics.networks import TOKENS, column_rows, token_network

RNG = np.random.default_rng(0)


def grouped(samples=2000, groups=4, width=6, spread=0.05):
    """Vectors near one of a few points, and the point each lies near."""
    which = RNG.integers(0, groups, samples)
    centres = 3.0 * RNG.normal(size=(groups, width))
    return centres[which] + spread * RNG.normal(size=(samples, width)), which


def same_partition(first, second):
    return mutual_info_score(first, second) == pytest.approx(mutual_info_score(second, second))


def test_clusters_find_separated_groups_of_every_token():
    parts = [grouped() for _ in range(3)]
    codes = cluster_tokens(np.stack([x for x, _ in parts], axis=1), 4, seed=0)
    assert all(same_partition(codes[:, t], which) for t, (_, which) in enumerate(parts))


def test_constant_tokens_have_one_cluster():
    codes = cluster_tokens(np.ones((100, 2, 3)), 4, seed=0)
    assert len(np.unique(codes[:, 0])) == 1


def test_equal_and_rotated_tokens_share_everything_and_independent_ones_nothing():
    x, _ = grouped()
    rotation, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    tokens = np.stack([x, x, x @ rotation, grouped()[0]], axis=1)
    found = token_mutual_information(tokens, clusters=4)
    np.testing.assert_allclose(found[:3, :3], 1.0, atol=0.02)
    np.testing.assert_allclose(found[3, :3], 0.0, atol=0.01)
    np.testing.assert_allclose(found, found.T)


def test_information_in_nats_is_that_of_the_groups():
    x, which = grouped()
    merged = np.where(which[:, None] < 2, 1.0, -1.0) * np.ones((1, 6))
    merged = merged + 0.01 * RNG.normal(size=merged.shape)
    found = token_mutual_information(np.stack([x, merged], axis=1), clusters=4, normalize=False)
    codes = cluster_tokens(np.stack([x, merged], axis=1), 4, seed=0)
    expected = mutual_info_score(codes[:, 0], codes[:, 1])
    assert found[0, 1] == pytest.approx(expected, abs=0.005)
    assert found[0, 1] == pytest.approx(mutual_info_score(which, which < 2), abs=0.02)


def test_independent_tokens_read_near_zero_with_few_samples():
    x = RNG.normal(size=(400, 4, 8))
    off_diagonal = token_mutual_information(x, clusters=8)[np.triu_indices(4, 1)]
    assert off_diagonal.mean() < 0.02


def test_cosine_is_the_mean_over_samples():
    x = RNG.normal(size=(50, 3, 4))
    x[7, 2] = 0.0
    expected = np.zeros((3, 3))
    for sample in x:
        for i in range(3):
            for j in range(3):
                norm = np.linalg.norm(sample[i]) * np.linalg.norm(sample[j])
                expected[i, j] += sample[i] @ sample[j] / norm if norm else 0.0
    np.testing.assert_allclose(token_cosine_similarity(x), expected / 50)


def test_label_information_finds_the_token_that_knows():
    knows, which = grouped(groups=2)
    knows_nothing, _ = grouped(groups=2)
    x = np.stack([knows, knows_nothing], axis=1)
    found = label_information(x, which[:, None].astype("float32"), clusters=4)
    assert found[0] == pytest.approx(1.0, abs=0.01)
    assert found[1] < 0.01
    np.testing.assert_array_equal(label_information(x, np.ones(2000)), 0.0)


def test_a_models_relations_and_their_picture(tmp_path):
    found = token_relations(
        token_network(), column_rows(200), ["tokens", "block_2_ffn"], clusters=4
    )
    assert list(found) == ["tokens", "block_2_ffn"]
    tokens = found["tokens"]
    assert tokens.mutual_information.shape == tokens.cosine.shape == (TOKENS, TOKENS)
    assert list(tokens.label_information) == ["click"]
    tokens.plot(tmp_path / "with_labels.png")
    assert (tmp_path / "with_labels.png").stat().st_size > 10_000
    x, _ = column_rows(200)
    bare = token_relations(token_network(), x, ["tokens"], clusters=4)["tokens"]
    assert bare.label_information == {}
    bare.plot(tmp_path / "bare.png")


def test_wrong_arguments_are_named():
    x = np.zeros((100, 2, 3))
    with pytest.raises(ValueError, match="clusters=1"):
        token_mutual_information(x, clusters=1)
    with pytest.raises(ValueError, match=r"at least 160 samples. Received: 100"):
        token_mutual_information(x, clusters=40)
    with pytest.raises(ValueError, match="99 labels for 100 samples"):
        label_information(x, np.zeros(99))
    with pytest.raises(ValueError, match="few distinct values"):
        label_information(np.zeros((200, 2, 3)), np.arange(200))
    with pytest.raises(ValueError, match="NaN"):
        token_cosine_similarity(np.full((4, 2, 3), np.nan))
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        token_cosine_similarity(np.zeros((4, 2)))
