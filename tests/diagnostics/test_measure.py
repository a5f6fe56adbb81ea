import gc
import weakref

import keras
import ml_dtypes
import numpy as np
import pytest

from rankup_keras.diagnostics import measure
from rankup_keras.diagnostics.measure import idle_tokens, measure_layer, token_cosine
from tests.reference import effective_rank as reference


@pytest.fixture
def activations():
    return np.random.default_rng(0).normal(size=(30, 4, 6)).astype("float32")


def test_both_views_against_the_definition(activations):
    ranks = measure_layer("layer", [activations[:10], activations[10:]])
    by_sample = [reference.effective_rank(x) for x in activations]
    by_token = [reference.effective_rank(activations[:, t]) for t in range(4)]
    assert ranks.mean == pytest.approx(np.mean(by_sample), rel=1e-6)
    np.testing.assert_allclose(
        ranks.quantiles, np.quantile(by_sample, [0.05, 0.25, 0.5, 0.75, 0.95]), rtol=1e-6
    )
    np.testing.assert_allclose(ranks.token_ranks, by_token, rtol=1e-6)
    assert ranks.stable == pytest.approx(
        np.mean([reference.stable_rank(x) for x in activations]), rel=1e-6
    )
    assert (ranks.ceiling, ranks.token_ceiling, ranks.numerical) == (4, 6, 4.0)
    assert ranks.normalized == pytest.approx(ranks.mean / 4)
    assert ranks.token_normalized == pytest.approx(np.mean(by_token) / 6)


def test_the_ceiling_is_the_width_where_tokens_outnumber_it():
    x = np.random.default_rng(0).normal(size=(5, 12, 3))
    ranks = measure_layer("layer", [x])
    assert (ranks.ceiling, ranks.token_ceiling) == (3, 3)
    assert 0.5 < ranks.normalized <= 1.0


def test_spectra_are_mean_shares(activations):
    ranks = measure_layer("layer", [activations])
    shares = [np.linalg.svd(x, compute_uv=False) for x in activations.astype(float)]
    expected = np.mean([s / s.sum() for s in shares], axis=0)
    np.testing.assert_allclose(ranks.spectrum, expected, rtol=1e-5)
    assert sum(ranks.token_spectrum) == pytest.approx(1.0)


def test_samples_with_nan_are_counted_and_left_out(activations):
    clean = measure_layer("layer", [activations[2:]])
    activations[0, 1, 2] = np.nan
    activations[1] = np.inf
    ranks = measure_layer("layer", [activations])
    assert ranks.not_finite == 2
    assert ranks.mean == pytest.approx(clean.mean)
    np.testing.assert_allclose(ranks.token_ranks, clean.token_ranks)


def test_all_samples_nan():
    ranks = measure_layer("layer", [np.full((3, 4, 5), np.nan, "float32")])
    assert ranks.not_finite == 3
    assert np.isnan([ranks.mean, ranks.cosine, *ranks.token_ranks, *ranks.quantiles]).all()


def test_bfloat16(activations):
    rounded = activations.astype(ml_dtypes.bfloat16)
    ranks = measure_layer("layer", [rounded])
    expected = np.mean([reference.effective_rank(x) for x in rounded.astype(float)])
    assert ranks.mean == pytest.approx(expected, rel=1e-6)
    assert ranks.numerical == 4.0


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_idle_tokens(activations, dtype):
    activations[:, 1] = 0.0
    activations[:, 3] = [0.3, -1.0, 2.0, 0.1, 0.0, 5.0]
    assert idle_tokens(activations.astype(dtype)) == ([1], [3])


def test_a_token_that_hardly_varies_is_not_idle(activations):
    activations[:, 3] = 1.0 + 1e-4 * activations[:, 3]
    assert idle_tokens(activations) == ([], [])


def test_cosine_against_the_definition(activations):
    activations[3, 2] = 0.0
    values = []
    for sample in activations.astype(float):
        for i in range(4):
            for j in range(4):
                norm = np.linalg.norm(sample[i]) * np.linalg.norm(sample[j])
                if i != j:
                    values.append(sample[i] @ sample[j] / norm if norm else 0.0)
    assert token_cosine(activations) == pytest.approx(np.mean(values), abs=1e-6)


def test_batches_of_different_lengths_are_named():
    with pytest.raises(ValueError, match=r"Layer 'mixer'.*\[\(3, 4\), \(5, 4\)\]"):
        measure_layer("mixer", [np.ones((2, 3, 4)), np.ones((2, 5, 4))])


def test_a_model_is_traced_once_and_not_kept(monkeypatch):
    x = keras.Input((4, 8))
    model = keras.Model(x, keras.layers.Dense(8, name="dense")(x))
    rows = np.random.default_rng(0).normal(size=(16, 4, 8)).astype("float32")
    first = measure.rank_profile(model, rows)
    model.get_layer("dense").set_weights([np.eye(8), np.zeros(8)])
    monkeypatch.setattr(measure, "Taps", lambda *_: pytest.fail("the model is traced again"))
    second = measure.rank_profile(model, rows)
    assert second.layers["dense"].mean != first.layers["dense"].mean
    alive = weakref.ref(model)
    del model, x
    gc.collect()
    assert alive() is None
