import numpy as np
import pytest

from rankup_keras.layers.mixers import PerTokenRMSNorm
from tests.helpers.layer_test import run_layer_test
from tests.reference import elastor

T, D, BATCH = 3, 4, 5


@pytest.mark.parametrize(("tokens_first", "epsilon"), [(False, 1e-12), (True, 0.1)])
def test_equation(tokens_first, epsilon):
    def expected(x, weights):
        x = x.transpose(1, 0, 2) if tokens_first else x
        y = elastor.per_token_rms_norm(x, weights["gamma"].reshape(T, D), epsilon)
        return y.transpose(1, 0, 2) if tokens_first else y

    run_layer_test(
        PerTokenRMSNorm,
        {"epsilon": epsilon, "tokens_first": tokens_first},
        input_shape=(T, BATCH, D) if tokens_first else (BATCH, T, D),
        expected_num_parameters=T * D,
        reference=expected,
        batch_axis=int(tokens_first),
    )


def test_length_does_not_matter_but_for_epsilon():
    x = np.random.default_rng(0).normal(size=(BATCH, T, D)).astype("float32")
    layer = PerTokenRMSNorm(epsilon=1e-12)
    np.testing.assert_allclose(layer(x), layer(1000 * x), rtol=1e-5)


def test_a_token_of_zeros_stays_zero():
    layer = PerTokenRMSNorm(epsilon=1e-12)
    assert not np.asarray(layer(np.zeros((BATCH, T, D), "float32"))).any()
