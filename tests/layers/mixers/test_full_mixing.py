import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.diagnostics import numerical_rank
from rankup_keras.layers.mixers import FullMixing
from tests.helpers.layer_test import run_layer_test
from tests.reference import elastor

T, D, BATCH = 3, 4, 5


def matrix_of(weights):
    if "kernel" in weights:
        return weights["kernel"]
    if "kernel_in" in weights:
        return weights["kernel_in"].astype("float64") @ weights["kernel_out"]
    return elastor.kronecker_matrix(weights["kernel_tokens"], weights["kernel_width"])


def norm_of(weights, epsilon):
    if "inner_norm/beta" in weights:
        gamma, beta = weights["inner_norm/gamma"], weights["inner_norm/beta"]
        return elastor.layer(gamma, beta, epsilon)
    if "inner_norm/scale" in weights:
        return elastor.rms(weights["inner_norm/scale"], epsilon)
    return None


def reference(epsilon):
    def expected(x, weights):
        norm = norm_of(weights, epsilon)
        return elastor.full_mixing(x, matrix_of(weights), weights.get("bias"), norm)

    return expected


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"use_bias": False}, (T * D) ** 2),
        ({"use_bias": True, "inner_norm": "rms_norm"}, (T * D) ** 2 + 2 * T * D),
        ({"form": "kronecker"}, T**2 + D**2),
        (
            {"form": "kronecker", "rank": 3, "inner_norm": "layer_norm", "use_bias": True},
            3 * (T**2 + D**2) + 3 * T * D,
        ),
        ({"form": "low_rank"}, 2 * T * D * D),
        ({"form": "low_rank", "rank": 2, "inner_norm": "rms_norm"}, 2 * T * D * 2 + T * D),
    ],
)
def test_equation(settings, parameters):
    run_layer_test(
        FullMixing,
        {"epsilon": 1e-3, "kernel_regularizer": "l2", **settings},
        input_shape=(BATCH, T, D),
        expected_num_parameters=parameters,
        reference=reference(1e-3),
    )


@pytest.mark.parametrize("form", ["dense", "kronecker", "low_rank"])
def test_mixing_can_raise_the_rank(form):
    """Token matrices of rank one come out with the full rank, which no map of the width does."""
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(BATCH, T, 1)) @ rng.normal(size=(BATCH, 1, D))
    layer = FullMixing(form, rank=None if form == "dense" else 4)
    mixed = keras.ops.convert_to_numpy(layer(flat.astype("float32")))
    assert numerical_rank(flat, tolerance=1e-4).max() == 1
    assert numerical_rank(mixed, tolerance=1e-4).min() == T
    of_the_width = flat @ rng.normal(size=(D, D))
    assert numerical_rank(of_the_width, tolerance=1e-4).max() == 1


def test_the_kronecker_form_is_made_of_plain_products():
    """Batched products that broadcast corrupt memory in TensorFlow 2.21's oneDNN training."""
    layer = FullMixing("kronecker", rank=2)
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec((None, T, D)))
    kinds = [op.type for op in traced.graph.get_operations() if "MatMul" in op.type]
    assert kinds == ["MatMul", "MatMul"]


def test_the_kronecker_form_of_one_term_keeps_rank_one():
    """`A X B` has no more rank than X: one term of the cheap form cannot do what W can."""
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(BATCH, T, 1)) @ rng.normal(size=(BATCH, 1, D))
    mixed = keras.ops.convert_to_numpy(FullMixing("kronecker")(flat.astype("float32")))
    assert numerical_rank(mixed, tolerance=1e-4).max() == 1


def test_initial_deviation_is_that_of_a_dense_layer():
    layer = FullMixing("kronecker", rank=5, kernel_initializer="he_normal")
    layer.build((None, 40, 60))
    tokens, width = (keras.ops.convert_to_numpy(w) for w in layer.trainable_variables)
    np.testing.assert_allclose(tokens.std(), np.sqrt(2 / 40), rtol=0.02)
    np.testing.assert_allclose(width.std(), np.sqrt(2 / 60), rtol=0.02)


def test_two_matrices_start_different():
    layer = FullMixing("low_rank", rank=6)
    layer.build((None, 2, 3))
    first, second = (keras.ops.convert_to_numpy(w) for w in layer.trainable_variables)
    assert np.abs(first - second).min() > 0


def test_a_large_dense_form_is_refused_with_the_sizes_of_the_others():
    with pytest.raises(ValueError, match=r"150,994,944 weights.*590,080 weights"):
        FullMixing().build((None, 16, 768))
    layer = FullMixing("kronecker")
    layer.build((None, 16, 768))
    assert layer.count_params() == 16**2 + 768**2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "sparse"}, "`form` must be one of"),
        ({"rank": 2}, "`rank` must be positive and belongs to"),
        ({"form": "low_rank", "rank": 0}, "`rank` must be positive"),
        ({"inner_norm": "batch_norm"}, "norm"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        FullMixing(**settings)
