"""True rates from a stream of negatives that are corrected later."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.losses import FakeNegativeWeighted


def test_the_equation():
    rng = np.random.default_rng(0)
    y, f = rng.integers(0, 2, (50, 1)).astype("float32"), rng.uniform(0.01, 0.99, (50, 1))
    rows = -(1 + f) * y * np.log(f) - (1 - f) * (1 + f) * (1 - y) * np.log(1 - f)
    np.testing.assert_allclose(FakeNegativeWeighted()(y, f), rows.mean(), rtol=1e-5)


def test_the_true_rate_is_where_training_stops():
    # 1,000 rows are logged as negatives; 200 of them again as positives.
    y = np.r_[np.zeros(1000), np.ones(200)][:, None].astype("float32")
    logit = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(1.0)

    for _ in range(200):
        with tf.GradientTape() as tape:
            predictions = keras.ops.sigmoid(logit) * keras.ops.ones_like(y)
            loss = FakeNegativeWeighted()(y, predictions)
        optimizer.apply(tape.gradient(loss, [logit]), [logit])
    assert float(keras.ops.sigmoid(logit)) == pytest.approx(0.2, abs=1e-3)


def test_config_round_trip():
    loss = FakeNegativeWeighted(name="buy_loss")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
