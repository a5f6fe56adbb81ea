import keras
import numpy as np
import pytest

from rankup_keras.layers.tokens import TargetAttention
from tests.helpers.layer_test import run_layer_test
from tests.reference.attention import target_attention

BATCH, LENGTH, DIM, CANDIDATE = 5, 4, 3, 6


def inputs():
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 9, size=(BATCH, LENGTH)).astype("int32")
    ids[0], ids[1], ids[2, :3] = [3, 0, 2, 0], 0, 0
    items = 2 * rng.normal(size=(BATCH, LENGTH, DIM)).astype("float32")
    return [items, ids, rng.normal(size=(BATCH, CANDIDATE)).astype("float32")]


@keras.saving.register_keras_serializable("rankup_keras_tests")
class OfAList(TargetAttention):
    """Its three inputs in one list, as the helper gives them."""

    def build(self, input_shape):
        super().build(*input_shape)

    def call(self, inputs):
        return super().call(*inputs)

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(*input_shape)


@pytest.mark.parametrize(("units", "width"), [(None, DIM), (7, 7)])
def test_equation(units, width):
    run_layer_test(
        OfAList,
        {"units": units, "kernel_regularizer": "l2"},
        inputs=inputs(),
        expected_output_shape=(BATCH, DIM),
        expected_num_parameters=(CANDIDATE + DIM) * width,
        reference=lambda arrays, w: target_attention(*arrays, w["query"], w["key"]),
    )


def test_an_empty_sequence_gives_zeros_and_a_single_item_itself():
    items, ids, candidate = inputs()
    y = np.asarray(TargetAttention()(items, ids, candidate))
    assert not y[1].any()
    np.testing.assert_allclose(y[2], items[2, 3], rtol=1e-6)


def test_padding_has_no_say():
    items, ids, candidate = inputs()
    layer = TargetAttention()
    before = layer(items, ids, candidate)
    items = np.where((ids == 0)[..., None], 1e6, items).astype("float32")
    np.testing.assert_allclose(layer(items, ids, candidate), before, rtol=1e-6)


def test_the_candidate_decides():
    items, ids, candidate = inputs()
    layer = TargetAttention(kernel_initializer="ones")
    one, other = (layer(items, ids, sign * candidate) for sign in (1, -1))
    assert np.abs(np.asarray(one) - other)[3:].max() > 0.1


def test_queries_and_keys_start_different():
    layer = TargetAttention()
    layer.build((None, LENGTH, DIM), (None, LENGTH), (None, DIM))
    assert np.abs(np.asarray(layer.query) - layer.key).min() > 0


def test_units_must_be_positive():
    with pytest.raises(ValueError, match=r"`units` must be positive. Received: units=0"):
        TargetAttention(0)
