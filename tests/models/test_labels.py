"""Labels are read alike from arrays and from the elements of datasets."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models.labels import Labels, checked_weights

TWO = Labels([rk.Task("click"), rk.Task("buy", label="bought")])
ONE = Labels([rk.Task("click")])


def in_pipeline(read, *tensors):
    """What a function gives inside of a `tf.data` pipeline."""
    tensors = tuple(tf.constant(tensor) for tensor in tensors)
    return next(iter(tf.data.Dataset.from_tensors(tensors).map(read)))


def test_arrays_and_datasets_give_the_same():
    click, bought = np.array([1, 0, 1]), np.array([0.0, 0.25, 1.0])
    columns = {"click": click, "bought": bought, "age": np.ones(3)}
    found = [TWO.read(None, columns), TWO.read({"buy": bought, "click": click}, {})]
    found.append(
        in_pipeline(
            lambda click, bought: TWO.read(None, {"click": click, "bought": bought}), click, bought
        )
    )
    for labels in found:
        assert list(labels) == ["click", "buy"]
        np.testing.assert_array_equal(labels["click"], [[1], [0], [1]])
        np.testing.assert_array_equal(labels["buy"], [[0], [0.25], [1]])
        assert all(np.asarray(column).dtype == np.float32 for column in labels.values())


def test_weights_of_classes():
    click = np.array([1, 0, 0, 1])
    weights = ONE.class_weights(ONE.read(click, {}), {1: 5.0, 0: 0.5})
    np.testing.assert_array_equal(weights, [5, 0.5, 0.5, 5])
    found = in_pipeline(lambda click: ONE.class_weights(ONE.read(click, {}), {1: 3}), click)
    np.testing.assert_array_equal(found, [3, 1, 1, 3])


def test_weights_of_classes_need_one_task_and_its_classes():
    labels = {"click": np.ones((2, 1)), "buy": np.ones((2, 1))}
    with pytest.raises(ValueError, match=r"one task; this one has \['click', 'buy'\].*sample_weig"):
        TWO.class_weights(labels, {1: 2.0})
    with pytest.raises(ValueError, match=r"classes 0 and 1 to weights\. Received: {2: 1.0}"):
        ONE.class_weights({"click": np.ones((2, 1))}, {2: 1.0})


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_weights_are_numbers_from_0(wrong):
    weights = np.array([1.0, 0.0, wrong])
    np.testing.assert_array_equal(checked_weights(weights[:2]), [1, 0])
    with pytest.raises(
        ValueError, match=rf"`sample_weight` must be numbers.*1 others.*{wrong} in row 2"
    ):
        checked_weights(weights)
    with pytest.raises(ValueError, match="`sample_weight` of task buy must be"):
        checked_weights({"click": weights[:2], "buy": weights})
    np.testing.assert_array_equal(in_pipeline(checked_weights, weights[:2]), [1, 0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`sample_weight` must be numbers"):
        in_pipeline(checked_weights, weights)
    with pytest.raises(TypeError, match="`sample_weight` must be numbers"):
        checked_weights(["a"])
