import keras
import numpy as np

from rankup_keras.layers.mixers import PerTokenFFN, SiameseResidual, SiameseSum, TokenMixing
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
