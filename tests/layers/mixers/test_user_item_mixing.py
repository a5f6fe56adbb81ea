import keras
import numpy as np
import pytest

from rankup_keras.layers.mixers import ItemTokenMixing, TokenMixing, UserTokenMixing
from tests.helpers.layer_test import run_layer_test
from tests.helpers.several_inputs import of_a_list
from tests.reference.sequences import masked_mixing

RNG = np.random.default_rng(0)
USER, ITEM = (RNG.normal(size=(3, n, 8)).astype("float32") for n in (1, 3))


def test_the_users_rows_against_the_masked_equation():
    run_layer_test(
        UserTokenMixing,
        {"num_tokens": 4},
        inputs=USER,
        reference=lambda x, w: masked_mixing(x, ITEM)[:, :1],
    )


def test_the_candidates_rows_against_the_equation():
    run_layer_test(
        of_a_list(ItemTokenMixing),
        {},
        inputs=[ITEM, USER],
        reference=lambda x, w: masked_mixing(x[1], x[0])[:, 1:],
        unsaved_arguments=("activity_regularizer", "autocast"),
    )


def test_only_the_candidates_part_of_the_users_rows_differs_from_plain_mixing():
    user, item = USER[:, :1].repeat(2, 1), ITEM[:, :2]
    plain = TokenMixing()(np.concatenate([user, item], axis=1))
    np.testing.assert_array_equal(ItemTokenMixing()(item, user), plain[:, 2:])
    mine = np.asarray(UserTokenMixing(4)(user))
    np.testing.assert_array_equal(mine[:, :, :4], plain[:, :2, :4])
    assert not mine[:, :, 4:].any()


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (UserTokenMixing(3), [keras.ops.ones((1, 1, 8))], "`num_tokens` must divide"),
        (UserTokenMixing(2), [keras.ops.ones((1, 4, 8))], "counts the user's tokens too"),
        (ItemTokenMixing(), [keras.ops.ones((1, 2, 8)), keras.ops.ones((1, 1, 8))], "must divide"),
    ],
)
def test_refused(layer, inputs, message):
    with pytest.raises(ValueError, match=message):
        layer(*inputs)
