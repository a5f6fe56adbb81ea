import numpy as np
import pytest

from rankup_keras.layers.tokens import SemanticTokenizer, SliceTokenizer
from tests.helpers.layer_test import run_layer_test
from tests.reference.attention import semantic_tokens, shared_slice_tokens


@pytest.mark.parametrize(
    ("dims", "groups"),
    [
        ([4, 4, 4, 4], [[0, 1], [2, 3]]),
        ([4, 4, 4], [[2], [0, 1, 2], [1]]),
        ([3, 1, 5, 2], [[3, 0], [2, 1, 3]]),
    ],
)
def test_equation(dims, groups):
    run_layer_test(
        SemanticTokenizer,
        {"token_dim": 6, "field_dims": dims, "groups": groups, "kernel_initializer": "he_normal"},
        input_shape=(5, sum(dims)),
        expected_output_shape=(5, len(groups), 6),
        reference=lambda x, w: semantic_tokens(
            x, dims, groups, w["projection/kernel"], w["projection/bias"]
        ),
        xla=groups == [[0, 1], [2, 3]],
    )


def test_initial_deviation_counts_a_groups_real_width():
    layer = SemanticTokenizer(200, [60, 20], [[0, 1], [1]], kernel_initializer="lecun_normal")
    layer.build((None, 80))
    kernel = np.asarray(layer.projection.kernel)
    np.testing.assert_allclose(kernel[0].std(), np.sqrt(1 / 80), rtol=0.02)
    np.testing.assert_allclose(kernel[1].std(), np.sqrt(1 / 20), rtol=0.02)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "at least one group"),
        ([[0], []], "Received group 1"),
        ([[0, 2]], "indices from 0 to 1. Received group 0"),
    ],
)
def test_wrong_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        SemanticTokenizer(4, [2, 2], groups)


def test_an_input_of_another_width():
    with pytest.raises(ValueError, match="as wide as `field_dims` sum up to, 4"):
        SemanticTokenizer(4, [2, 2], [[0], [1]]).build((None, 5))


@pytest.mark.parametrize("width", [8, 7])
def test_one_projection_shared_by_all_slices(width):
    run_layer_test(
        SliceTokenizer,
        {"num_tokens": 4, "token_dim": 3, "shared": True},
        input_shape=(5, width),
        expected_output_shape=(5, 4, 3),
        expected_num_parameters=2 * 3 + 3,
        reference=lambda x, w: shared_slice_tokens(
            x, 4, w["projection/kernel"], w["projection/bias"]
        ),
    )
