from rankup_keras.layers.mixers import GramMixing
from tests.helpers.layer_test import run_layer_test
from tests.reference import unimixer


def test_equation():
    run_layer_test(
        GramMixing,
        {"kernel_initializer": "he_normal"},
        input_shape=(5, 3, 8),
        expected_num_parameters=8 * 8,
        reference=lambda x, weights: unimixer.gram_mixing(x, weights["kernel"]),
    )
