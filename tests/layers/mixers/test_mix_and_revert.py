import keras
import numpy as np
import pytest

from rankup_keras.layers.mixers import (
    MixAndRevert,
    PerTokenFFN,
    PerTokenSwiGLU,
    Residual,
    TokenMixing,
)
from tests.helpers.layer_test import run_layer_test
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


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"`num_heads`.*must divide the token width"):
        MixAndRevert(PerTokenSwiGLU(), 3).build((None, T, D))
