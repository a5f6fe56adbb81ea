import keras
import numpy as np
import pytest

from rankup_keras.layers.mixers import (
    MixAndRevert,
    MixerBlock,
    PerTokenFFN,
    PerTokenSwiGLU,
    Residual,
    TokenMixing,
)
from tests.helpers.layer_test import random_inputs, randomize_weights, run_layer_test
from tests.helpers.layer_test import weights_by_name as by_name
from tests.reference import mixers

T, D, BATCH = 3, 8, 5


@keras.saving.register_keras_serializable("rankup_keras_tests")
class WithFFN(MixAndRevert):
    """Made from plain arguments, as the helper makes layers."""

    def __init__(self, num_heads=None, **kwargs):
        kwargs.pop("ffn", None)
        dtype = kwargs.get("dtype")
        ffn = PerTokenFFN(expansion=1.5, dtype=dtype, name="network")
        super().__init__(ffn, num_heads, **kwargs)

    def get_config(self):
        return super().get_config()

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.mark.parametrize("num_heads", [4, 2])
def test_equation(num_heads):
    width = T * D // num_heads
    hidden = round(1.5 * width)

    def expected(x, w):
        mixed = mixers.token_mixing(x, num_heads)
        names = ("up/kernel", "up/bias", "down/kernel", "down/bias")
        own = [next(v for k, v in w.items() if k.endswith(name)) for name in names]
        return mixers.token_mixing(mixers.per_token_ffn(mixed, *own), T)

    run_layer_test(
        WithFFN,
        {"num_heads": num_heads},
        input_shape=(BATCH, T, D),
        expected_num_parameters=num_heads * (2 * width * hidden + hidden + width),
        reference=expected,
    )


def test_the_residual_adds_entries_of_the_same_meaning():
    """An identity between mixing and reverting gives the input: nothing has moved."""
    x = np.random.default_rng(0).normal(size=(BATCH, T, D)).astype("float32")
    identity = keras.layers.Identity()
    np.testing.assert_array_equal(MixAndRevert(identity, 4)(x), x)
    moved = np.asarray(TokenMixing(num_heads=4)(x)).reshape(x.shape)
    assert np.abs(moved - x).max() > 0.5


def test_inside_a_residual_connection_it_saves_and_reloads(tmp_path):
    inputs = keras.Input((T, D))
    block = Residual(MixAndRevert(PerTokenSwiGLU(expansion=1), 2), name="block")
    model = keras.Model(inputs, block(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(BATCH, T, D)).astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_reverting_is_the_inverse_of_mixing(heads):
    x = random_inputs((2, T, D))
    np.testing.assert_array_equal(TokenMixing(T)(TokenMixing(heads)(x)), x)


def large_block(residual="input", norm_on="mixed", heads=4):
    first, second = PerTokenSwiGLU(1.5, name="first"), PerTokenSwiGLU(2, name="second")
    mixing = MixAndRevert(first, heads, residual, norm_on, dropout=0.1)
    block = MixerBlock(second, mixing, norm="rms_norm", name="block")
    block.build((None, T, D))
    randomize_weights(block)
    return block


def parts(block):
    """The networks and norms of a block as functions of the reference."""
    weights = by_name(block)

    def network(name):
        up, down = (
            next(v for k, v in weights.items() if k.endswith(f"{name}/{part}/kernel"))
            for part in ("up", "down")
        )
        return lambda h: mixers.per_token_swiglu(h, *np.split(up, 2, axis=2), down)

    def norm(place):
        scale = next(v for k, v in weights.items() if k.endswith(f"{place}/norm/scale"))
        return lambda h: mixers.rms_norm(h, scale)

    return network("first"), network("second"), norm


def test_tokenmixer_large_block():
    """Equations 9 to 16: norm on mixed tokens, residual to the block's input."""
    block, x = large_block(), random_inputs((BATCH, T, D))
    first, second, norm = parts(block)
    expected = mixers.tokenmixer_large_block(x, 4, first, second, norm("mixed"), norm("block_ffn"))
    np.testing.assert_allclose(block(x), expected, rtol=0, atol=1e-5)
    again = MixerBlock.from_config(block.get_config())
    again.build((None, T, D))
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(again(x), block(x))


@pytest.mark.parametrize("residual", ["input", "aligned"])
@pytest.mark.parametrize("norm_on", ["mixed", "tokens"])
def test_other_readings_of_the_block(residual, norm_on):
    block, x = large_block(residual, norm_on), random_inputs((BATCH, T, D))
    first, second, norm = parts(block)
    before = norm("mixed" if norm_on == "mixed" else "block_mixer")
    h = mixers.token_mixing(x, 4)
    read = before(h) if norm_on == "mixed" else mixers.token_mixing(before(x), 4)
    r = mixers.token_mixing(h + first(read), T)
    expected = (x if residual == "input" else r) + second(norm("block_ffn")(r))
    np.testing.assert_allclose(block(x), expected, rtol=0, atol=1e-5)


def test_with_a_second_network_of_zero_a_block_is_the_identity_bit_for_bit():
    block, x = large_block(), random_inputs((BATCH, T, D))
    kernel = block.ffn.layer.down.kernel
    kernel.assign(np.zeros(kernel.shape))
    np.testing.assert_array_equal(block(x), x)
    aligned = large_block("aligned")
    kernel = aligned.ffn.layer.down.kernel
    kernel.assign(np.zeros(kernel.shape))
    assert np.abs(np.array(aligned(x)) - x).max() > 0.01


@pytest.mark.parametrize("argument", ["residual", "norm_on"])
def test_wrong_choices(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be one of"):
        MixAndRevert(PerTokenSwiGLU(), **{argument: "none"})


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"`num_heads`.*must divide the token width"):
        MixAndRevert(PerTokenSwiGLU(), 3).build((None, T, D))
