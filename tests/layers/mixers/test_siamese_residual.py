import keras
import numpy as np

from rankup_keras.layers.mixers import PerTokenFFN, SiameseResidual, SiameseSum, TokenMixing
from rankup_keras.models.stack import mixer_stack
from tests.helpers.layer_test import random_inputs, randomize_weights
from tests.reference import mixers, unimixer

T, D = 4, 8


def test_equation_saved_and_reloaded(tmp_path):
    inputs = keras.Input((T, D))
    s, x, y = SiameseSum()(inputs, inputs), inputs, inputs
    layers = [TokenMixing(), PerTokenFFN(1.5)]
    parts = []
    for number, layer in enumerate(layers):
        residual = SiameseResidual(layer, name=f"part_{number}", dropout=0.5)
        x, y = residual(s, x, y)
        parts.append((residual, SiameseSum(name=f"sum_{number}")))
        s = parts[-1][1](x, y)
    model = keras.Model(inputs, s)
    randomize_weights(model)
    rows = random_inputs((5, T, D))

    def affine(norm):
        return [np.array(weight) for weight in (norm.gamma, norm.beta)]

    sums = [next(la for la in model.layers if isinstance(la, SiameseSum)), *(p[1] for p in parts)]
    norms = [
        (affine(before.norm), affine(residual.norm))
        for before, (residual, _) in zip(sums, parts, strict=False)
    ]
    ffn = [np.array(w) for w in layers[1].weights]
    functions = [mixers.token_mixing, lambda h: mixers.per_token_ffn(h, *ffn)]
    expected = unimixer.siamese(rows, functions, norms, affine(sums[-1].norm))
    np.testing.assert_allclose(model(rows), expected, rtol=0, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(rows), model(rows))
    assert loaded.get_layer("part_1").get_config() == parts[1][0].get_config()


def test_around_whole_blocks():
    """The mixing's output goes into the network, and only what comes out of that to the streams."""
    inputs, settings = keras.Input((T, D)), {"expansion": 1.5}
    tokens = mixer_stack(inputs, 2, "gelu", settings, None, norm="siamese_blocks", dropout=0.1)
    model = keras.Model(inputs, tokens)
    randomize_weights(model)
    rows = random_inputs((5, T, D))

    def affine(layer):
        return [np.array(weight) for weight in (layer.norm.gamma, layer.norm.beta)]

    functions, norms, before = [], [], model.get_layer("siamese_tokens")
    for number in (1, 2):
        streams = model.get_layer(f"block_{number}_ffn_streams")
        ffn = [np.array(w) for w in streams.layer.weights]
        functions.append(lambda h, ffn=ffn: mixers.per_token_ffn(mixers.token_mixing(h), *ffn))
        norms.append((affine(before), affine(streams)))
        before = model.get_layer(f"block_{number}_ffn")
    expected = unimixer.siamese(rows, functions, norms, affine(before))
    np.testing.assert_allclose(model(rows), expected, rtol=0, atol=1e-5)
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(rows), model(rows))
