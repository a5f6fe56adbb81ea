"""The pieces of a lookup; `test_field_embedding.py` holds all of them against the NumPy form."""

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features.spec import FieldSpec
from rankup_keras.layers.embeddings import gather_and_pool
from rankup_keras.layers.embeddings.layout import bag_group


@pytest.mark.parametrize("columns", [[0, 1, 2], [1, 2], [1, 2, 1, 2], [2, 0], [0, 2, 1, 1]])
def test_columns_are_taken_in_any_order_and_number(columns):
    ids = tf.constant([[4, 5, 6], [7, 8, 9]])
    taken = gather_and_pool.take_columns(ids, np.array(columns, np.int32))
    np.testing.assert_array_equal(taken, ids.numpy()[:, columns])


@pytest.mark.parametrize("parts", [[(0, 6)], [(0, 3), (3, 3)], [(0, 2), (2, 4)], [(4, 2)]])
def test_rows_are_cut_into_the_columns_of_each_part(parts):
    variable = tf.Variable(np.arange(30.0).reshape(5, 6))
    indices = np.array([[0, 4], [2, 2], [1, 3]])
    cut = gather_and_pool.take_rows(variable, tf.constant(indices), parts)
    for (start, width), rows in zip(parts, cut, strict=True):
        np.testing.assert_array_equal(rows, variable.numpy()[indices][..., start : start + width])


def test_a_permutation_has_the_gradient_of_its_inverse():
    x, order = tf.random.normal((2, 4, 3)), np.array([2, 0, 3, 1])
    upstream = tf.random.normal((2, 4, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, plain = gather_and_pool.permute_columns(x, order), tf.gather(x, order, axis=1)
    np.testing.assert_array_equal(ours, plain)
    np.testing.assert_allclose(
        tape.gradient(ours, x, upstream), tape.gradient(plain, x, upstream), atol=1e-6
    )


@pytest.mark.parametrize(
    ("combiner", "wanted"),
    [("mean", [0.25, 0.75, 0]), ("sum", [1, 3, 0]), ("sqrtn", [10**-0.5, 3 * 10**-0.5, 0])],
)
def test_the_weights_of_a_bag_by_its_combiner(combiner, wanted):
    group = bag_group([FieldSpec("tags", "tags", 0, 3, "bag", combiner, 0)])
    weights = tf.constant([[1.0, 3.0, 5.0], [1.0, 1.0, 1.0]])
    ids = tf.constant([[4, 2, 0], [0, 0, 0]])
    found = gather_and_pool.bag_coefficients(ids, weights, group, tf.float32)
    np.testing.assert_allclose(found[:, 0], [wanted, [0, 0, 0]], atol=1e-6)
