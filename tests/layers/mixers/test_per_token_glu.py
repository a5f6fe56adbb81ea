import keras
import numpy as np
import pytest

from rankup_keras.diagnostics import numerical_rank
from rankup_keras.layers.mixers import PerTokenFFN, PerTokenGLU
from tests.helpers.layer_test import run_layer_test
from tests.reference import elastor

T, D, BATCH = 3, 4, 5


@pytest.mark.parametrize("expansion", [3, 1.5])
def test_equation(expansion):
    hidden = round(expansion * D)

    def expected(x, weights):
        w1, w2 = np.split(weights["up/kernel"].astype("float64"), 2, axis=-1)
        y = elastor.paper_glu(x, w1, w2, weights["down/kernel"], weights["linear/kernel"])
        return y

    run_layer_test(
        PerTokenGLU,
        {"expansion": expansion},
        input_shape=(BATCH, T, D),
        expected_num_trainable=3,
        expected_num_parameters=T * (3 * D * hidden + D * D),
        reference=expected,
    )


def test_the_papers_number_of_weights():
    layer = PerTokenGLU()
    layer.build((None, 7, 8))
    assert layer.count_params() == 7 * (3 * 3 + 1) * 8**2


def test_initial_deviations_are_those_of_separate_dense_layers():
    layer = PerTokenGLU(kernel_initializer="glorot_normal")
    layer.build((None, 10, 40))
    # W1 and W2 lie in one kernel, and have the fans of one of them.
    for kernel, fans in ((layer.up, 40 + 120), (layer.down, 120 + 40), (layer.linear, 40 + 40)):
        values = keras.ops.convert_to_numpy(kernel.kernel)
        np.testing.assert_allclose(values.std(), np.sqrt(2 / fans), rtol=0.02)


def ranks(x):
    return numerical_rank(np.asarray(x, np.float64), tolerance=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_gated_unit_raises_rank_k_to_at_most_k_k_plus_1_over_2(rank):
    """With a linear gate, of which the bound speaks, and weights shared by all tokens."""
    tokens, width = 12, 12
    rng = np.random.default_rng(rank)
    x = (rng.normal(size=(4, tokens, rank)) @ rng.normal(size=(4, rank, width))).astype("float32")
    layer = PerTokenGLU(activation="linear")
    layer.build(x.shape)
    for part in (layer.up, layer.down, layer.linear):
        shared = np.asarray(part.kernel)[:1]
        part.kernel.assign(np.repeat(shared, tokens, axis=0))
    layer.linear.kernel.assign(np.zeros((tokens, width, width)))
    assert ranks(x).tolist() == [rank] * 4
    assert ranks(layer(x)).tolist() == [rank * (rank + 1) // 2] * 4


def test_a_homogeneous_network_contracts_rank_one_to_at_most_two():
    """Rows of a rank-1 matrix are multiples, positive or negative, of one vector."""
    tokens, width = 12, 12
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, tokens, 1)) @ rng.normal(size=(4, 1, width))).astype("float32")
    relu = PerTokenFFN(activation="relu", use_bias=False)
    relu.build(x.shape)
    for part in (relu.up, relu.down):
        part.kernel.assign(np.repeat(np.asarray(part.kernel)[:1], tokens, axis=0))
    assert ranks(x).tolist() == [1] * 4
    assert ranks(relu(x)).tolist() == [2] * 4
