"""Pooling, task towers and tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from tests.helpers.layer_test import random_inputs, randomize_weights, run_layer_test
from tests.helpers.layer_test import weights_by_name as weights_of

from tests.reference import mixers, towers as reference  # isort: skip


@pytest.mark.parametrize("pooling", ["mean", "flatten"])
@pytest.mark.parametrize("tasks", [0, 2])
def test_pooling(tasks, pooling):
    def equation(x, w):
        pooled, own = reference.pool(x, tasks, pooling)
        return (pooled, own) if tasks else pooled

    run_layer_test(
        TokenPooling,
        {"pooling": pooling, "num_task_tokens": tasks},
        input_shape=(3, 5, 4),
        reference=equation,
    )


@pytest.mark.parametrize("pooling", ["mean", "flatten"])
@pytest.mark.parametrize("tasks", [0, 2])
def test_gradients_of_pooling(tasks, pooling):
    x = tf.constant(random_inputs((3, 5, 4)))
    layer = TokenPooling(pooling, tasks)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.nest.flatten(layer(x))
        weights = [tf.constant(random_inputs(o.shape, seed=i)) for i, o in enumerate(outputs)]
        loss = sum(tf.reduce_sum(w * o) for w, o in zip(weights, outputs, strict=True))
    pooled = np.asarray(weights[0])
    if pooling == "mean":
        expected = np.broadcast_to(pooled[:, None] / (5 - tasks), (3, 5 - tasks, 4))
    else:
        expected = pooled.reshape(3, 5 - tasks, 4)
    expected = np.concatenate([expected, *(np.asarray(w) for w in weights[1:])], axis=1)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, atol=1e-6)


@pytest.mark.parametrize("with_tokens", [False, True])
@pytest.mark.parametrize("hidden", [[], [4, 3]])
def test_towers(hidden, with_tokens):
    names = ["click", "buy"]
    pooled, tokens = random_inputs((6, 5)), random_inputs((6, 2, 3), seed=1)
    tokens = tokens if with_tokens else None
    layer = TaskTowers(names, hidden)
    layer(pooled, tokens)
    randomize_weights(layer, scale=1.0)
    layers = [(dense.kernel.numpy(), dense.bias.numpy()) for dense in layer.dense_layers]
    expected = reference.task_towers(names, pooled, tokens, layers, mixers.relu)
    actual = layer(pooled, tokens)
    assert list(actual) == names
    for name in names:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-5)
    assert layer.count_params() == 2 * sum(
        a * b + b for a, b in zip([5 + 3 * with_tokens, *hidden], [*hidden, 1], strict=True)
    )


def test_towers_as_a_layer():
    def equation(x, w):
        layers = [(w["per_token_dense/kernel"], w["per_token_dense/bias"])]
        return reference.task_towers(["a", "b"], x, None, layers, mixers.relu)

    run_layer_test(
        TaskTowers,
        {"task_names": ["a", "b"], "hidden_units": []},
        input_shape=(4, 5),
        expected_output_shape={"a": (4, 1), "b": (4, 1)},
        mixed_output_dtype="float32",
        reference=None,
    )
    layer = TaskTowers(["a", "b"])
    x = random_inputs((4, 5))
    layer(x)
    (dense,) = layer.dense_layers
    w = {"per_token_dense/kernel": dense.kernel.numpy(), "per_token_dense/bias": dense.bias.numpy()}
    for name, value in equation(x, w).items():
        np.testing.assert_allclose(layer(x)[name], value, atol=1e-5)
    assert len(weights_of(layer)) == 2


def test_probabilities_stay_float32_and_apart_in_half_precision():
    layer = TaskTowers(["a"], dtype="mixed_bfloat16")
    x = random_inputs((200, 4)) * 0.01 + 3.0
    probabilities = layer(x)["a"]
    assert probabilities.dtype == "float32"
    # Logits in bfloat16 would take about ten values.
    assert len(np.unique(probabilities)) > 40


def test_task():
    task = Task("click", weight=2, label="clicked")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(task))
    assert (again.name, again.weight, again.label) == ("click", 2.0, "clicked")
    assert Task("click").label == "click"
    assert "click" in repr(task)
    auc, log_loss = task.metrics()
    assert (auc, log_loss.name) == ("auc", "log_loss")
    y, p = np.array([[1.0], [0.0]]), np.array([[0.9], [0.2]])
    loss = -(np.log(0.9) + np.log(0.8)) / 2
    np.testing.assert_allclose(task.loss(y, p), loss, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Task(""), "`name` must be of letters.*Received: ''"),
        (lambda: Task("a/b"), r"Received: 'a/b'.*Task\('a_b', label='a/b'\)"),
        (lambda: Task("点击"), r"Task\('label', label='点击'\)"),
        (lambda: Task("click", positive=">= many"), "compares with a number"),
        (lambda: Task("click", positive=[]), "must be a comparison with a number such as"),
        (lambda: Task("click", positive=True), "or a list of values.*Received: positive=True"),
        (lambda: Task(3), "Received: 3"),
        (lambda: Task("a", weight=0), "`weight` of task 'a' must be a positive .* weight=0"),
        (lambda: Task("a", "label"), "`weight` of task 'a' must be a positive .* weight='label'"),
        (lambda: Task("a", weight=float("nan")), "weight=nan"),
        (lambda: TaskTowers([]), "`task_names` must be different names, at least one"),
        (lambda: TaskTowers(["a", "a"]), r"`task_names` must be.*\['a', 'a'\]"),
        (lambda: TokenPooling("max"), "`pooling` must be one of.*Received: 'max'"),
        (
            lambda: TokenPooling(num_task_tokens=3)(random_inputs((2, 3, 4))),
            r"at least one token beside the task tokens.*num_task_tokens=3, shape=\(2, 3, 4\)",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
