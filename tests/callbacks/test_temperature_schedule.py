import keras
import numpy as np
import pytest

from rankup_keras.callbacks import TemperatureSchedule
from rankup_keras.layers.mixers import Residual, UniMixing


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((2, 4))
    made = keras.Model(inputs, Residual(UniMixing())(inputs))
    made.compile("sgd", "mse")
    return made


class Seen(keras.callbacks.Callback):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.taus = layer, []

    def on_train_batch_end(self, batch, logs=None):
        self.taus.append(float(np.array(self.layer.tau)))


def fit(model, schedule, epochs, **settings):
    seen = Seen(model.layers[1].layer)
    x = np.zeros((6, 2, 4), "float32")
    history = model.fit(
        x, x, batch_size=2, epochs=epochs, callbacks=[schedule, seen], verbose=0, **settings
    )
    return seen.taus, history.history["temperature"]


def test_along_a_line_over_all_steps_and_from_where_training_was(model):
    model.optimizer.iterations.assign(0)
    taus, history = fit(model, TemperatureSchedule(), epochs=2)
    np.testing.assert_allclose(taus, np.linspace(1, 0.05, 6), rtol=1e-5)
    np.testing.assert_allclose(history, [taus[2], taus[5]], rtol=1e-5)
    # Another run of the same program, in its third step: the optimizer's clock goes on.
    model.optimizer.iterations.assign(2)
    taus, _ = fit(model, TemperatureSchedule(steps=5, start=0.9, end=0.5), epochs=1)
    np.testing.assert_allclose(taus, [0.7, 0.6, 0.5], rtol=1e-5)


def test_errors(model):
    with pytest.raises(ValueError, match="`end` must be positive"):
        TemperatureSchedule(end=0)
    x = np.zeros((2, 2, 4), "float32")
    rows = ((x, x) for _ in range(1))
    with pytest.raises(ValueError, match="`steps` must be given"):
        model.fit(rows, callbacks=[TemperatureSchedule()], shuffle=False, verbose=0)
    other = keras.Sequential([keras.Input((2, 4)), keras.layers.Dense(4)])
    other.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no UniMixing layer"):
        other.fit(x, x, callbacks=[TemperatureSchedule()], verbose=0)
