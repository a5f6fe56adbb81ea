import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers.mixers import TokenAttention
from tests.helpers.layer_test import random_inputs, run_layer_test
from tests.reference import unimixer

T, D, BATCH = 3, 8, 5


@pytest.mark.parametrize("tasks", [0, 2])
def test_equation(tasks):
    def expected(x, weights):
        query, key, value = np.split(weights["lift/kernel"].astype("float64"), 3, axis=2)
        out = weights["kernel"].astype("float64")
        return unimixer.token_attention(x, query, key, value, out, heads=4, tasks=tasks)

    run_layer_test(
        TokenAttention,
        {"num_heads": 4, "num_tasks": tasks, "kernel_initializer": "he_normal"},
        input_shape=(BATCH, T, D),
        expected_num_parameters=3 * T * D * D + D * D,
        reference=expected,
    )


def test_a_task_learns_from_no_other_task():
    """Task 2 reads task 1, whose token and keys its loss does not move."""
    layer, x = TokenAttention(2, num_tasks=2), tf.Variable(random_inputs((BATCH, 5, D)))
    layer.build(x.shape)
    with tf.GradientTape(persistent=True) as tape:
        y = layer(x)
        losses = [tf.reduce_sum(tf.sin(y[:, t])) for t in range(5)]
    moved = np.array([np.abs(tape.gradient(loss, x)).max(axis=(0, 2)) > 0 for loss in losses])
    expected = np.zeros((5, 5), bool)
    expected[:, :3] = expected[3, 3] = expected[4, 4] = True
    np.testing.assert_array_equal(moved, expected)
    kernels = tape.gradient(losses[4], layer.lift.kernel)
    assert not np.any(kernels[3])
    before = y.numpy()
    x[:, 3].assign(x[:, 3] + 1)
    assert np.abs(layer(x) - before)[:, 4].max() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 3}, "`num_heads` must divide the token width"),
        ({"num_tasks": T}, "`num_tasks` must be 0 or more, and fewer than there are tokens"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        TokenAttention(**settings).build((None, T, D))
