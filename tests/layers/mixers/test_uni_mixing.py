"""UniMixing and its Lite form, against the equation, and as what token mixing is a case of."""

import numpy as np
import pytest

from rankup_keras.layers.mixers import TokenMixing, UniMixing
from tests.helpers.layer_test import random_inputs, run_layer_test
from tests.reference import unimixer

T, D, BATCH = 2, 6, 5
TAU = 0.7


def expected_matrices(weights, settings):
    steps, symmetric = settings["iterations"], settings.get("symmetric", True)
    count, size = T * D // (settings.get("block") or D // T), settings.get("block") or D // T
    if "blocks" in weights:
        blocks = weights["blocks"]
    else:
        sums = weights["shares"] @ weights["basis"].astype("float64")
        blocks = sums.reshape(count, size, size)
    whole = weights.get("whole")
    if whole is None:
        whole = weights["whole_in"].astype("float64") @ weights["whole_out"]
    made = [unimixer.sinkhorn(b, TAU, steps, symmetric) for b in blocks]
    return np.array(made), unimixer.sinkhorn(whole, TAU, steps, symmetric)


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"iterations": 3}, 4 * 9 + 16),
        ({"block": 4, "bases": 2, "rank": 3, "iterations": 5, "symmetric": False}, 32 + 6 + 18),
    ],
    ids=["full", "lite"],
)
def test_equation(settings, parameters):
    settings = {**settings, "temperature": TAU}
    run_layer_test(
        UniMixing,
        settings,
        input_shape=(BATCH, T, D),
        expected_num_parameters=parameters + 1,  # the temperature
        reference=lambda x, w: unimixer.unimixing(x, *expected_matrices(w, settings)),
    )


def built(tokens=4, width=16, **settings):
    layer = UniMixing(**settings)
    layer.build((None, tokens, width))
    return layer


def test_token_mixing_is_the_case_of_a_permutation():
    """`B = I`, b = D / T and `G` the permutation of the blocks: every number in the same place."""
    tokens, width = 4, 16
    layer = built(tokens, width)
    size, count = width // tokens, tokens**2
    layer.blocks.assign(np.tile(100 * np.eye(size), (count, 1, 1)))
    place = np.arange(count).reshape(tokens, tokens)
    permutation = np.zeros((count, count))
    permutation[place.reshape(-1), place.T.reshape(-1)] = 1
    layer.whole.assign(100 * permutation)
    x = random_inputs((3, tokens, width))
    np.testing.assert_allclose(layer(x), TokenMixing()(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("lite", [False, True])
def test_steps_make_the_matrices_doubly_stochastic_and_symmetric(lite):
    """Columns, divided last, sum to 1; rows' error and the asymmetry shrink with more steps."""
    settings = {"bases": 3, "rank": 4} if lite else {}
    first = built(**settings)
    errors = []
    for steps in (1, 5, 50):
        layer = built(iterations=steps, **settings)
        layer.set_weights(first.get_weights())
        for made in layer.matrices():
            w = np.array(made, "float64")
            np.testing.assert_allclose(w.sum(axis=-2), 1, rtol=0, atol=1e-6)
            assert (w >= 0).all()
        rows = np.abs(w.sum(axis=-1) - 1).max()
        errors.append((rows, np.abs(w - w.T).max()))
    assert np.all(np.array(errors[0]) > 3 * np.array(errors[1]))
    assert np.all(np.array(errors[1]) > 3 * np.array(errors[2]))


def test_a_low_temperature_makes_rows_sharper():
    layer = built()
    largest = {}
    for tau in (1.0, 0.05):
        layer.tau.assign(tau)
        largest[tau] = np.array(layer.matrices()[1]).max(axis=-1)
    assert (largest[0.05] > largest[1.0]).all()
    # No row vanishes where its exponentials do: 20 logits apart, e^-400 is 0 in float32.
    layer.whole.assign(20 * np.array(layer.whole))
    assert np.isfinite(np.array(layer(random_inputs((2, 4, 16))))).all()


def test_a_graph_can_hold_the_finished_matrices():
    layer, x = built(), random_inputs((3, 4, 16))
    before = np.array(layer(x))
    made = tuple(np.array(matrix) for matrix in layer.matrices())
    with layer.finished_as(made):
        layer.whole.assign(np.zeros((16, 16)))
        np.testing.assert_allclose(layer(x), before, rtol=0, atol=1e-6)
    assert np.abs(np.array(layer(x)) - before).max() > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniMixing(bases=0), "`bases` must be positive"),
        (lambda: UniMixing(temperature=0), "`temperature` must be positive"),
        (lambda: built(3, 16), "`block` must be given .* 3 tokens of width 16"),
        (lambda: built(3, 16, block=5), "`block` must divide .* together 48"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
