"""The part of a model behind its tables, and its training step as XLA takes it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import Categorical, FeatureSet, History, Numeric, RankMixer, optimizers
from rankup_keras.distribution.ahead_of_time.training_step import (
    RefusedOpsError,
    dense_step,
    lower,
)
from rankup_keras.models.dense_part import dense_part


def make_model(**arguments):
    features = FeatureSet(
        [
            Categorical("item", hash_buckets=50, embedding_dim=8),
            Categorical("user", hash_buckets=50, embedding_dim=8),
            History("history", of="item", max_length=3),
            Numeric("price", normalize=None),
        ]
    )
    model = RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1, **arguments)
    model.compile(optimizers.Split("adagrad", "adam"))
    return model


def test_the_step_is_lowered_with_its_update():
    model = make_model(dtype="mixed_bfloat16")
    hlo = lower(model, dense_part(model), 16)
    # Adam's kernel, the products in bfloat16 and one module.
    assert len(hlo) > 10_000
    assert model.optimizer.iterations.numpy() == 0


def test_the_step_updates_weights_and_returns_gradients_of_vectors():
    model = make_model()
    part = dense_part(model)
    rng = np.random.default_rng(0)
    tensors = [
        tf.zeros((16, *t.shape[1:]), t.dtype)
        if "int" in t.dtype
        else tf.constant(rng.normal(size=(16, *t.shape[1:])), t.dtype)
        for t in part.network.inputs
    ]
    step = dense_step(model, part)
    before = [np.array(weight) for weight in part.network.trainable_variables]
    losses = []
    for _ in range(20):
        loss, gradients, metrics = step(*tensors, tf.ones((16, 1)))
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert [g.shape for g in gradients] == [t.shape for t in tensors[: part.vectors]]
    assert {"auc", "log_loss"} <= set(metrics)
    after = part.network.trainable_variables
    assert all(np.any(old != np.array(new)) for old, new in zip(before, after, strict=True))
    # The model's own optimizer is untouched.
    assert model.optimizer.iterations.numpy() == 0


class Words(keras.layers.Layer):
    def call(self, x):
        return x * tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)


def test_ops_that_a_tpu_refuses_are_named():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(Words()(x)))
    model.compile("adam", "mse")
    with pytest.raises(RefusedOpsError, match="AsString") as caught:
        lower(model, dense_part(model), 8)
    assert caught.value.ops == ["AsString"]
