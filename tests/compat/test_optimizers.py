"""What a Keras optimizer keeps of its variables, as it was read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import optimizers
from rankup_keras.compat.optimizers import (
    known_gradients,
    scale_by_rows,
    slot,
    variable_index,
)


def built(optimizer):
    variables = [keras.Variable(np.ones((3, 2), "float32"), name=name) for name in ("a", "b")]
    optimizer.build(variables)
    return variables


@pytest.mark.parametrize(
    ("make", "slots"),
    [
        (keras.optimizers.Adagrad, ["accumulators"]),
        (keras.optimizers.Adam, ["momentums", "velocities"]),
        (keras.optimizers.Ftrl, ["accumulators", "linears"]),
    ],
)
def test_slots_are_lists_with_private_names(make, slots):
    optimizer = make(0.1)
    variables = built(optimizer)
    for name in slots:
        found = [slot(optimizer, name, variable) for variable in variables]
        assert all(a is b for a, b in zip(found, getattr(optimizer, f"_{name}"), strict=True))
        assert [tuple(variable.shape) for variable in found] == [(3, 2)] * 2
        # No public way: once there is one, take it.
        assert not hasattr(optimizer, name)
    assert [variable_index(optimizer, v.value) for v in variables] == [0, 1]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_gradients_are_filtered_and_unknown_variables_refused():
    optimizer = keras.optimizers.SGD(0.1)
    variables = built(optimizer)
    assert known_gradients(optimizer, [None, 1.0], variables) == ([1.0], variables[1:])
    with pytest.raises(ValueError, match="Unknown variable"):
        known_gradients(optimizer, [1.0], [keras.Variable(1.0)])


def named_rows(values):
    return tf.IndexedSlices(tf.constant(values, tf.float32), [1, 1], (3, 2))


def clipped_step(make):
    optimizer = make(1.0, clipnorm=1.0)
    variables = built(optimizer)
    optimizer.apply([named_rows([[3.0, 0.0], [0.0, 4.0]])], variables[:1])
    return variables[0].numpy()


def test_keras_clips_the_parts_of_a_row_and_we_their_sum():
    # The row's gradient is (3, 4), of norm 5.
    wanted = np.array([[1, 1], [1 - 0.6, 1 - 0.8], [1, 1]])
    np.testing.assert_allclose(clipped_step(optimizers.SGD), wanted, atol=1e-6)
    assert keras.optimizers.Optimizer._clip_gradients is not None
    # Once this fails, Keras clips named rows itself.
    rows = [named_rows([[3.0, 0.0], [3.0, 0.0]])]
    (keras_clips,) = keras.optimizers.SGD(1.0, clipnorm=1.0)._clip_gradients(rows)
    total = tf.math.unsorted_segment_sum(keras_clips.values, keras_clips.indices, 3)
    assert abs(float(tf.norm(total)) - 1.0) > 0.1


@pytest.mark.parametrize("by_rows", [False, True])
def test_loss_scaling_looks_at_named_rows_alone(by_rows):
    optimizer = keras.optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=1.0)
    if by_rows:
        scale_by_rows(optimizer)
    table = keras.Variable(np.zeros((100, 1), "float32"), name="table")
    optimizer.build([table])

    @tf.function
    def step(values):
        optimizer.apply([tf.IndexedSlices(values, [3, 3], (100, 1))], [table])

    graph = step.get_concrete_function(tf.TensorSpec((2, 1))).graph
    sizes = [x.shape.num_elements() for op in graph.get_operations() for x in op.outputs]
    # Without it Keras makes a tensor of all rows.
    assert (100 in sizes) is not by_rows
    step(tf.constant([[1.0], [2.0]]))
    step(tf.constant([[1.0], [np.inf]]))
    assert float(table[3, 0]) == -3.0
