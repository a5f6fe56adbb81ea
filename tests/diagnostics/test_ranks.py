import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rankup_keras.diagnostics import ranks
from tests.reference import effective_rank as reference

MEASURES = {
    "effective_rank": (ranks.effective_rank, reference.effective_rank),
    "stable_rank": (ranks.stable_rank, reference.stable_rank),
    "information_abundance": (ranks.information_abundance, reference.information_abundance),
}


def matrices(count, rows, columns, kind, seed=0):
    rng = np.random.default_rng(seed)
    side = min(rows, columns)
    if kind == "random":
        return rng.normal(size=(count, rows, columns))
    if kind == "deficient":
        rank = max(1, side // 3)
        return rng.normal(size=(count, rows, rank)) @ rng.normal(size=(count, rank, columns))
    left, _ = np.linalg.qr(rng.normal(size=(count, rows, side)))
    right, _ = np.linalg.qr(rng.normal(size=(count, columns, side)))
    if kind == "ill_conditioned":
        decades = rng.uniform(1, 18, size=(count, 1))
        spectrum = 10.0 ** (-decades * np.linspace(0, 1, side))
    elif kind == "one_large":
        spectrum = np.full((count, side), 10.0 ** rng.uniform(-12, -4, size=(count, 1)))
        spectrum[:, 0] = 1.0
    return (left * spectrum[:, None, :]) @ right.swapaxes(1, 2)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("kind", ["random", "deficient", "ill_conditioned", "one_large"])
@pytest.mark.parametrize("shape", [(1, 5), (2, 2), (16, 64), (64, 16), (32, 96), (48, 48)])
def test_agrees_with_svd(name, kind, shape):
    measure, expected = MEASURES[name]
    batch = matrices(20, *shape, kind)
    np.testing.assert_allclose(measure(batch), [expected(m) for m in batch], rtol=1e-4)


def test_many_tiny_singular_values_are_not_lost_in_the_noise_of_the_gram_matrix():
    # 127 values of 3e-8 of the largest: each below what the Gram matrix
    # resolves, together visible in the rank.
    batch = matrices(2, 128, 160, "one_large")
    left, _, right = np.linalg.svd(batch, full_matrices=False)
    spectrum = np.full(128, 3e-8)
    spectrum[0] = 1.0
    batch = (left * spectrum) @ right
    got = ranks.effective_rank(batch)
    np.testing.assert_allclose(got, [reference.effective_rank(m) for m in batch], rtol=1e-5)
    assert (got - 1.0 > 5e-5).all()


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
        elements=st.floats(-1e3, 1e3, width=32),
    )
)
def test_any_small_matrix(matrix):
    for measure, expected in MEASURES.values():
        np.testing.assert_allclose(measure(matrix), expected(matrix), rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, (5, 8), elements=st.floats(-8, 8, width=16)),
    st.floats(1e-30, 1e30),
    st.integers(0, 2**31),
)
def test_scale_rotation_and_transposition_change_nothing(matrix, scale, seed):
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))
    for measure, _ in MEASURES.values():
        expected = measure(matrix)
        np.testing.assert_allclose(measure(matrix * scale), expected, rtol=1e-4)
        np.testing.assert_allclose(measure(matrix.T), expected, rtol=1e-4)
        np.testing.assert_allclose(measure(matrix @ rotation), expected, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float64, (6, 6), elements=st.floats(-4, 4, width=16)))
def test_the_measures_keep_their_order(matrix):
    stable, entropy = ranks.stable_rank(matrix), ranks.effective_rank(matrix)
    exact = ranks.numerical_rank(matrix)
    assert stable <= ranks.information_abundance(matrix) * (1 + 1e-9)
    assert entropy <= exact + 1e-3
    if matrix.any():
        assert 1.0 - 1e-9 <= entropy <= 6.0 + 1e-9


def test_known_values():
    np.testing.assert_allclose(ranks.effective_rank(np.eye(5)), 5.0)
    np.testing.assert_allclose(ranks.stable_rank(np.diag([2.0, 1.0])), 1.25)
    np.testing.assert_allclose(ranks.information_abundance(np.diag([2.0, 1.0])), 1.5)
    np.testing.assert_allclose(ranks.effective_rank(np.eye(4, 9), normalize=True), 1.0)
    np.testing.assert_allclose(ranks.effective_rank(np.eye(9, 4), normalize=True), 1.0)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_zero_matrix_is_zero_and_does_not_warn(shape):
    batch = np.stack([np.zeros(shape), np.ones(shape)])
    for measure in (*(m for m, _ in MEASURES.values()), ranks.numerical_rank):
        np.testing.assert_allclose(measure(batch), [0.0, 1.0], atol=1e-7)


def test_non_finite_matrices_read_nan_and_leave_their_neighbors_alone():
    batch = np.random.default_rng(0).normal(size=(3, 4, 6))
    clean = ranks.effective_rank(batch)
    batch[1, 2, 3] = np.inf
    batch[2, 0, 0] = np.nan
    for measure in (*(m for m, _ in MEASURES.values()), ranks.numerical_rank):
        assert np.isnan(measure(batch)).tolist() == [False, True, True]
    np.testing.assert_allclose(ranks.effective_rank(batch)[0], clean[0])


@pytest.mark.parametrize("make", [np.asarray, tf.constant, tf.Variable])
def test_low_precision_tensors(make):
    exact = np.random.default_rng(0).normal(size=(3, 8, 16))
    for dtype in (ml_dtypes.bfloat16, np.float16, np.float32):
        rounded = exact.astype(dtype)
        got = ranks.effective_rank(make(rounded))
        expected = [reference.effective_rank(m) for m in rounded.astype(np.float64)]
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_numerical_rank_ignores_what_rounding_makes(dtype):
    batch = matrices(10, 12, 40, "deficient").astype(dtype)
    np.testing.assert_array_equal(ranks.numerical_rank(batch), 4.0)


def test_numerical_rank_in_float64_is_numpys():
    batch = matrices(50, 10, 14, "ill_conditioned")
    np.testing.assert_array_equal(ranks.numerical_rank(batch), np.linalg.matrix_rank(batch))


def test_numerical_rank_with_a_tolerance():
    matrix = np.diag([1.0, 0.1, 0.01])
    assert ranks.numerical_rank(matrix, tolerance=0.05) == 2
    assert ranks.numerical_rank(matrix, tolerance=0.05, normalize=True) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"tolerance=1\.5"):
        ranks.numerical_rank(matrix, tolerance=1.5)


def test_batch_shapes_and_pieces():
    # More than one piece of the batch, and leading axes that are kept.
    batch = np.random.default_rng(0).normal(size=(3, 200, 20, 128)).astype(np.float32)
    got = ranks.effective_rank(batch)
    assert got.shape == (3, 200)
    np.testing.assert_allclose(got[2, 199], reference.effective_rank(batch[2, 199]), rtol=1e-6)
    assert ranks.effective_rank(np.zeros((0, 4, 4))).shape == (0,)


def test_token_view_measures_each_token_over_the_batch():
    x = np.random.default_rng(0).normal(size=(30, 4, 6))
    x[:, 2, :] = 1.0
    got = ranks.effective_rank(ranks.token_view(x))
    assert got.shape == (4,)
    np.testing.assert_allclose(got[2], 1.0, atol=1e-6)
    np.testing.assert_allclose(got[1], reference.effective_rank(x[:, 1, :]), rtol=1e-6)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"Received an array of shape \(3,\)"):
        ranks.effective_rank(np.zeros(3))
    with pytest.raises(ValueError, match=r"\(batch, tokens, width\)"):
        ranks.token_view(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="complex"):
        ranks.stable_rank(np.zeros((3, 3), complex))


def test_mixing_identical_tokens_reads_almost_full_rank():
    """The caveat: token mixing reshapes, so a rank-1 input can look like a rich one."""
    token = np.random.default_rng(0).normal(size=(1, 768))
    tied = np.repeat(token, 16, axis=0)
    mixed = tied.reshape(16, 16, 48).transpose(1, 0, 2).reshape(16, 768)
    assert ranks.effective_rank(tied) == pytest.approx(1.0, abs=1e-5)
    assert ranks.effective_rank(mixed) > 15.0
