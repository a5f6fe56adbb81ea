"""Residual connections and blocks in both placements, against the papers' equations."""

import keras
import numpy as np
import pytest

from rankup_keras.layers.mixers import (
    MixerBlock,
    PerTokenFFN,
    PerTokenSwiGLU,
    Residual,
    TokenMixing,
)
from tests.helpers.layer_test import (
    random_inputs,
    randomize_weights,
    run_layer_test,
    weights_by_name,
)
from tests.reference import mixers as reference


def norm_of(kind, weights, name):
    if kind == "layer_norm":
        gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
        return lambda x: reference.layer_norm(x, gamma, beta)
    if kind == "rms_norm":
        return lambda x: reference.rms_norm(x, weights[f"{name}/scale"])
    return lambda x: x


PLACES = {"pre": reference.pre_norm, "post": reference.post_norm}


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm", None])
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_residual(placement, norm):
    mixing = TokenMixing()
    layer = Residual(mixing, placement=placement, norm=norm, epsilon=1e-6)
    x = random_inputs((3, 4, 8))
    layer(x)
    randomize_weights(layer)
    norm_form = norm_of(norm, weights_by_name(layer), "norm")
    expected = PLACES[placement](x, reference.token_mixing, norm_form)
    actual = layer(x).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert Residual.from_config(layer.get_config()).get_config() == layer.get_config()


def block_equation(x, weights, placement, norm, name):
    def ffn(h):
        gate, value = np.split(weights["network/up/kernel"], 2, axis=2)
        return reference.per_token_swiglu(h, gate, value, weights["network/down/kernel"])

    norms = [norm_of(norm, weights, f"{name}_{part}/norm") for part in ("mixer", "ffn")]
    block = {"pre": reference.pre_norm_block, "post": reference.post_norm_block}[placement]
    return block(x, reference.token_mixing, ffn, *norms)


@pytest.mark.parametrize(
    ("placement", "norm"),
    [("pre", "rms_norm"), ("post", "layer_norm")],
)
def test_block(placement, norm):
    def equation(x, weights):
        weights = {
            name[name.index("network") :] if "network" in name else name: value
            for name, value in weights.items()
        }
        y = block_equation(x, weights, placement, norm, "block")
        return y

    shape = (3, 4, 8)
    run_layer_test(
        MixerBlock,
        {
            "ffn": PerTokenSwiGLU(name="network"),
            "placement": placement,
            "norm": norm,
            "name": "block",
        },
        input_shape=shape,
        expected_output_shape=shape,
        expected_num_trainable=2 + 2 * (2 if norm == "layer_norm" else 1),
        reference=equation,
        # All blocks made here share the one network given, which training would change.
        train=False,
    )


def test_parameters_of_a_dense_block():
    """RankMixer: `T (2 k D² + k D + D)`, and 4 D of the two norms."""
    T, D, k = 4, 8, 3
    block = MixerBlock(PerTokenFFN(k), placement="post")
    block(random_inputs((2, T, D)))
    assert block.count_params() == T * (2 * k * D * D + k * D + D) + 4 * D


def test_block_is_its_mixer_and_then_its_network():
    block = MixerBlock(PerTokenFFN())
    x = random_inputs((3, 4, 8))
    np.testing.assert_array_equal(block(x), block.ffn(block.mixer(x)))


def test_dropout_acts_in_training_on_the_branch_alone():
    x = random_inputs((50, 4, 8))
    layer = Residual(TokenMixing(), norm=None, dropout=0.5)
    plain = layer(x, training=False).numpy()
    branch = plain - x
    dropped = layer(x, training=True).numpy() - x
    kept = np.isclose(dropped, 2 * branch, atol=1e-5)
    gone = np.isclose(dropped, 0.0, atol=1e-5)
    assert np.all(kept | gone)
    assert 0.4 < gone.mean() < 0.6


def test_a_layer_without_a_training_argument_and_one_with_it():
    x = random_inputs((2, 4, 8))
    for layer in (keras.layers.Dense(8), keras.layers.Dropout(0.5)):
        assert Residual(layer)(x, training=True).shape == x.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Residual(TokenMixing(), placement="mid"), "`placement` must be one of.*'mid'"),
        (lambda: Residual(TokenMixing(), norm="batch"), "`norm` must be one of.*'batch'"),
        (lambda: MixerBlock(PerTokenFFN(), norm="x"), "`norm` must be one of.*'x'"),
        (
            lambda: Residual(TokenMixing(2)).build((None, 4, 8)),
            r"`layer` must keep the shape.*TokenMixing, which makes \(None, 2, 16\)",
        ),
        (lambda: MixerBlock(PerTokenFFN()).build((None, 5, 8)), "must divide the token width"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
