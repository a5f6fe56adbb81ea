import numpy as np
import pytest

from rankup_keras.layers.mixers import PerTokenRMSNorm
from tests.helpers.layer_test import run_layer_test
from tests.reference import elastor

T, D, BATCH = 3, 4, 5


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_equation(epsilon):
    def expected(x, weights):
        return elastor.per_token_rms_norm(x, weights["gamma"], epsilon)

    run_layer_test(
        PerTokenRMSNorm,
        {"epsilon": epsilon},
        input_shape=(BATCH, T, D),
        expected_num_parameters=T * D,
        reference=expected,
    )


def test_length_does_not_matter_but_for_epsilon():
    x = np.random.default_rng(0).normal(size=(BATCH, T, D)).astype("float32")
    layer = PerTokenRMSNorm(epsilon=1e-12)
    np.testing.assert_allclose(layer(x), layer(1000 * x), rtol=1e-5)


def test_a_token_of_zeros_stays_zero():
    layer = PerTokenRMSNorm(epsilon=1e-12)
    assert not np.asarray(layer(np.zeros((BATCH, T, D), "float32"))).any()
