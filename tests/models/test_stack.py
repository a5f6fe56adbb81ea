"""Mixer stacks of layers that users give, in models: built, saved and reloaded."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.models.stack import dense_stack, needs_divisor
from tests.models import small_rows

FFNS = {
    "layer": rk.layers.PerTokenGLU(expansion=1.5),
    "config": keras.saving.serialize_keras_object(rk.layers.PerTokenSwiGLU(expansion=1)),
    "Keras's": keras.layers.Dense(12, kernel_initializer=keras.initializers.GlorotUniform(5)),
    "several": keras.Sequential([keras.layers.Dense(5, "relu"), keras.layers.Dense(12)]),
}


def make(**settings):
    return rk.RankMixer(small_rows.features(), ["click"], 12, 6, embedding_dim=4, **settings)


@pytest.mark.parametrize("ffn", FFNS)
def test_every_block_has_a_network_of_its_own(ffn, tmp_path):
    model = make(ffn=FFNS[ffn], tower_units=(3,))
    blocks = [model.get_layer(f"block_{i}_ffn").layer for i in (1, 2)]
    for first, second in zip(*(block.trainable_variables for block in blocks), strict=True):
        if "bias" not in first.path:
            assert not np.array_equal(first, second)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(small_rows.raw_rows(), {"click": small_rows.labels()["click"]}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    rows = small_rows.raw_rows(1)
    expected = model.predict(rows, verbose=0)["click"]
    np.testing.assert_allclose(loaded.predict(rows, verbose=0)["click"], expected, atol=1e-6)


def test_the_layer_given_is_left_as_it_is():
    ffn = rk.layers.PerTokenGLU(expansion=1.5)
    before = ffn.get_config()
    model = make(ffn=ffn, dtype="mixed_bfloat16")
    assert not ffn.built
    assert ffn.get_config() == before
    assert model.get_layer("block_1_ffn").layer.compute_dtype == "bfloat16"
    assert model.get_layer("block_1_ffn").layer.expansion == 1.5


def test_a_layer_is_what_its_name_would_make():
    keras.utils.set_random_seed(1)
    named = make(ffn={"kind": "glu", "expansion": 3}, mixing={"kind": "full_mixing", "rank": None})
    keras.utils.set_random_seed(1)
    given = make(ffn=rk.layers.PerTokenGLU(3), mixing=rk.layers.FullMixing())
    assert [v.shape for v in given.weights] == [v.shape for v in named.weights]
    given.set_weights(named.get_weights())
    rows = small_rows.raw_rows()
    np.testing.assert_array_equal(
        given.predict(rows, verbose=0)["click"], named.predict(rows, verbose=0)["click"]
    )


@pytest.mark.parametrize(
    ("mixing", "needs"),
    [
        ("token_mixing", True),
        ("full_mixing", False),
        ({"kind": "mix_and_revert"}, True),
        ({"kind": "mix_and_revert", "num_heads": 3}, False),
        (rk.layers.TokenMixing(), True),
        (rk.layers.MixAndRevert(rk.layers.PerTokenFFN()), True),
        (rk.layers.MixAndRevert(rk.layers.PerTokenFFN(), num_heads=3), False),
        (rk.layers.FullMixing("low_rank"), False),
        ("tokenmixer_large", True),
        (rk.layers.MixAndRevert(rk.layers.PerTokenFFN(), 3, "input", "mixed"), False),
        ({"kind": "tokenmixer_large", "num_heads": 3}, False),
        ("unimixing", True),
        (rk.layers.UniMixing(block=4), False),
        ("token_attention", False),
        ("gram_mixing", False),
    ],
)
def test_where_heads_are_tokens_their_number_must_divide(mixing, needs):
    assert needs_divisor(mixing) == needs
    settings = {"token_dim": 12, "num_tokens": 5, "embedding_dim": 4, "mixing": mixing}
    if needs:
        with pytest.raises(ValueError, match="`num_tokens` must divide the token width"):
            rk.RankMixer(small_rows.features(), ["click"], **settings)
    else:
        model = rk.RankMixer(small_rows.features(), ["click"], **settings)
        assert model.from_config(model.get_config()).count_params() == model.count_params()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ffn": keras.layers.Dense(5)}, "`ffn` must be a layer whose .* keeps the shape"),
        ({"ffn": keras.layers.Add()}, "`ffn` must be a layer whose .* one input"),
        ({"mixing": keras.layers.Flatten()}, "`mixing` must be a layer whose .* keeps the shape"),
        ({"ffn": "mlp"}, "`ffn` must be one of"),
        ({"ffn": rk.layers.PerTokenGLU}, "`ffn` must be one of .* a layer"),
        (
            {"ffn": "moe"},
            '`ffn` of kind .* gives num_experts, .* {"kind": "moe", "num_experts": 8}',
        ),
        ({"ffn": "sparse_moe"}, "`ffn` of kind .* gives num_experts and num_active, such as"),
        ({"ffn": {"kind": "sparse_moe", "num_experts": 4}}, "gives num_experts and num_active"),
    ],
)
def test_unsuited_layers(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_dense_stack():
    x = keras.Input((3,))
    model = keras.Model(x, dense_stack(x, [4, 2], "deep", None, dropout=0.5))
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Dense", "Dropout", "Dense", "Dropout"]
    assert [layer.name for layer in model.layers[1::2]] == ["deep_1", "deep_2"]
    assert dense_stack(x, [], "deep", None) is x
