import numpy as np
import pytest

from rankup_keras.layers.mixers import TokenAttention
from tests.helpers.layer_test import run_layer_test
from tests.reference import unimixer

T, D, BATCH = 3, 8, 5


def test_equation():
    def expected(x, weights):
        query, key, value = np.split(weights["lift/kernel"].astype("float64"), 3, axis=2)
        out = weights["kernel"].astype("float64")
        return unimixer.token_attention(x, query, key, value, out, heads=4)

    run_layer_test(
        TokenAttention,
        {"num_heads": 4, "kernel_initializer": "he_normal"},
        input_shape=(BATCH, T, D),
        expected_num_parameters=3 * T * D * D + D * D,
        reference=expected,
    )


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="`num_heads` must divide the token width"):
        TokenAttention(3).build((None, T, D))
