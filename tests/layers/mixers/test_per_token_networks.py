"""Per-token networks against the papers' equations, and what they do to rank."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.layers.mixers import PerTokenFFN, PerTokenSwiGLU
from tests.helpers.layer_test import (
    random_inputs,
    randomize_weights,
    run_layer_test,
    weights_by_name,
)
from tests.reference import mixers as reference


def ffn(x, w, activation=reference.gelu):
    get = w.get
    up, down = w["up/kernel"], w["down/kernel"]
    return reference.per_token_ffn(x, up, get("up/bias"), down, get("down/bias"), activation)


def swiglu(x, w):
    gate, value = np.split(w["up/kernel"], 2, axis=2)
    return reference.per_token_swiglu(x, gate, value, w["down/kernel"])


CASES = [
    (PerTokenFFN, {}, ffn, 4, 5 * (2 * 6 * 24 + 24 + 6)),
    (
        PerTokenFFN,
        {"expansion": 1.5, "activation": "relu", "use_bias": False, "down_scale": 0.1},
        lambda x, w: ffn(x, w, reference.relu),
        2,
        5 * 2 * 6 * 9,
    ),
    (PerTokenSwiGLU, {}, swiglu, 2, 5 * 3 * 6 * 12),
    (PerTokenSwiGLU, {"expansion": 1, "kernel_initializer": "he_normal"}, swiglu, 2, 5 * 3 * 36),
]


def test_network():
    """Every property once, and the equation in the other forms below: each takes seconds."""
    layer, arguments, equation, variables, parameters = CASES[0]
    run_layer_test(
        layer,
        arguments,
        input_shape=(3, 5, 6),
        expected_num_trainable=variables,
        expected_num_parameters=parameters,
        reference=equation,
    )


def test_gated_network():
    layer, arguments, equation, variables, parameters = CASES[2]
    run_layer_test(
        layer,
        arguments,
        input_shape=(3, 5, 6),
        expected_num_trainable=variables,
        expected_num_parameters=parameters,
        reference=equation,
    )


@pytest.mark.parametrize(("layer", "arguments", "equation", "variables", "parameters"), CASES)
def test_equation(layer, arguments, equation, variables, parameters):
    built = layer(**arguments)
    x = random_inputs((3, 5, 6))
    given_x = x
    built(given_x)
    randomize_weights(built)
    expected = equation(x, weights_by_name(built))
    actual = built(given_x).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert len(built.trainable_variables) == variables
    assert built.count_params() == parameters
    assert layer.from_config(built.get_config()).get_config() == built.get_config()


def test_tokens_do_not_see_each_other():
    layer = PerTokenSwiGLU()
    x = random_inputs((2, 4, 6))
    before = layer(x).numpy()
    x[:, 1] += 1.0
    changed = np.any(layer(x).numpy() != before, axis=(0, 2))
    assert changed.tolist() == [False, True, False, False]


def test_dropout_is_on_the_hidden_layer_and_in_training_only():
    layer = PerTokenFFN(dropout=0.5, activation="linear", use_bias=False)
    x = np.ones((200, 2, 6), "float32")
    plain = layer(x, training=False).numpy()
    assert np.ptp(plain, axis=0).max() == 0
    dropped = layer(x, training=True).numpy()
    assert np.ptp(dropped, axis=0).min() > 0
    np.testing.assert_allclose(dropped.mean(axis=0), plain[0], atol=0.5)


@given(st.integers(0, 1000))
def test_a_homogeneous_network_takes_rank_one_to_at_most_two(seed):
    """ReLU without bias, one network for all tokens: f(a v) is a f(v), or |a| f(-v)."""
    rng = np.random.default_rng(seed)
    layer = PerTokenFFN(4, activation="relu", use_bias=False)
    x = rng.normal(size=(1, 8, 1)) * rng.normal(size=(1, 1, 8))
    x = x.astype("float32")
    layer.build(x.shape)
    share_first_token(layer)
    assert np.linalg.matrix_rank(x[0]) == 1
    assert np.linalg.matrix_rank(layer(x).numpy()[0], tol=1e-4) <= 2


def test_a_gated_unit_raises_rank():
    """One network for all tokens; rank k becomes up to k (k + 1) / 2 through a product."""
    rng = np.random.default_rng(0)
    layer = PerTokenSwiGLU(8, activation="linear")
    x = (rng.normal(size=(1, 12, 3)) @ rng.normal(size=(3, 12))).astype("float32")
    layer.build(x.shape)
    share_first_token(layer)
    assert np.linalg.matrix_rank(x[0], tol=1e-4) == 3
    y = layer(x).numpy()[0]
    assert np.linalg.matrix_rank(y, tol=1e-4 * np.linalg.norm(y)) == 6


def share_first_token(layer):
    for variable in layer.trainable_variables:
        variable.assign(np.repeat(variable.numpy()[:1], variable.shape[0], axis=0))


@pytest.mark.parametrize("layer", [PerTokenFFN, PerTokenSwiGLU])
def test_equal_sizes_do_not_make_equal_kernels(layer):
    # An initializer gives the same stream at each call: the down-projection must not repeat it.
    built = layer(expansion=1)
    built(random_inputs((2, 3, 8)))
    up, down = built.up.kernel.numpy().ravel(), built.down.kernel.numpy().ravel()
    assert abs(np.corrcoef(up[: down.size], down)[0, 1]) < 0.3
    built = layer(expansion=4)
    built(random_inputs((2, 3, 8)))
    up, down = built.up.kernel.numpy().ravel(), built.down.kernel.numpy().ravel()
    assert abs(np.corrcoef(up[: down.size], down)[0, 1]) < 0.2


@pytest.mark.parametrize("expansion", [0, -1, float("nan")])
def test_wrong_expansion(expansion):
    with pytest.raises(ValueError, match="`expansion` must be positive"):
        PerTokenFFN(expansion)


def test_unknown_number_of_tokens():
    with pytest.raises(ValueError, match=r"must be known.*\(None, None, 8\)"):
        PerTokenFFN().build((None, None, 8))
