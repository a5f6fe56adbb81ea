"""What `fit` does with a model, as it was read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.compat.trainer import (
    BuildsBeforeTracing,
    StepsFromAnyIterator,
    StepsOfBatches,
    build_metrics,
    evaluates_within_fit,
    in_compiled_order,
    loss_of_step,
    skip_validation,
    start_at_epoch,
    take_direction,
    track_loss,
)


class Notes(keras.Model):
    def __init__(self):
        x = keras.Input((2,))
        super().__init__(x, keras.layers.Dense(1)(x))
        self.within = []

    def evaluate(self, *args, **kwargs):
        self.within.append(evaluates_within_fit(kwargs))
        return super().evaluate(*args, **kwargs)


def test_fit_says_when_it_evaluates():
    model, data = Notes(), (np.ones((4, 2)), np.ones((4, 1)))
    model.compile("sgd", "mse")
    model.fit(*data, validation_data=data, epochs=2, verbose=0)
    model.evaluate(*data, verbose=0)
    assert model.within == [True, True, False]


def fit(model, **kwargs):
    data = (np.ones((4, 2)), np.ones((4, 1)))
    return model.fit(*data, batch_size=2, validation_data=data, epochs=3, verbose=0, **kwargs)


class Starts(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        start_at_epoch(self.model, 2)


class Skips(keras.callbacks.Callback):
    """Skips the validation of all epochs but the third, once their batches are trained."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        skip_validation(self.model, False)

    def on_train_batch_end(self, batch, logs=None):
        skip_validation(self.model, self.epoch < 2 and batch == 1)


def test_a_callback_can_start_fit_at_an_epoch():
    model = Notes()
    model.compile("sgd", "mse")
    assert fit(model, callbacks=[Starts()]).epoch == [2]
    start_at_epoch(model, None)
    assert fit(model).epoch == [0, 1, 2]


def test_a_callback_can_skip_validation():
    model = Notes()
    model.compile("sgd", "mse")
    history = fit(model, callbacks=[Skips()])
    assert model.within == [True]
    assert len(history.history["val_loss"]) == 1
    assert not {"_should_eval", "get_metrics_result"} & set(vars(model))


def test_compiled_metrics_have_no_variables_before_they_are_built():
    model, batch = Notes(), (np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))
    model.compile("sgd", "mse", metrics=["mae"])
    before = len(model.metrics_variables)
    build_metrics(model, batch)
    assert len(model.metrics_variables) > before


def test_compiled_metrics_have_an_order_that_names_do_not_give():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=["mae", "mse"])
    x = np.ones((4, 1))
    wanted = model.test_on_batch(x, x)
    logs = {name: float(value) for name, value in model.get_metrics_result().items()}
    assert in_compiled_order(model, logs) == pytest.approx([float(value) for value in wanted])
    # Once these are the same, the public names will do.
    assert model.metrics_names == ["loss", "compile_metrics"]


@pytest.mark.parametrize(("bases", "traces"), [((), 2), ((BuildsBeforeTracing,), 1)])
def test_steps_are_traced_once(bases, traces):
    """Where Keras needs one trace by itself, the mixin can go."""
    counted = {"train_step": 0, "test_step": 0}

    class Counting(*bases, keras.Model):
        def train_step(self, data):
            counted["train_step"] += 1
            return super().train_step(data)

        def test_step(self, data):
            counted["test_step"] += 1
            return super().test_step(data)

    x = keras.Input((2,))
    data = (np.ones((4, 2)), np.ones((4, 1)))
    for method in ("fit", "evaluate"):
        model = Counting(x, keras.layers.Dense(1)(x))
        model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
        getattr(model, method)(*data, verbose=0)
    assert counted == {"train_step": traces, "test_step": traces}


class Batches:
    """Batches of two sizes, and what they have in common."""

    batch_spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None, 1)))

    def __init__(self):
        self.left = [(tf.ones((rows, 2)), tf.ones((rows, 1))) for rows in (2, 4)]

    def __iter__(self):
        return self

    def __next__(self):
        return self.left.pop()


@pytest.mark.parametrize(("bases", "traces"), [((), 2), ((StepsFromAnyIterator,), 1)])
def test_batches_of_any_iterator_are_traced_once(bases, traces):
    """Where Keras needs one trace by itself, the mixin can go."""
    counted = []

    class Counting(BuildsBeforeTracing, *bases, keras.Model):
        def train_step(self, data):
            counted.append(data)
            return super().train_step(data)

    x = keras.Input((2,))
    model, batches = Counting(x, keras.layers.Dense(1)(x)), Batches()
    model.compile("sgd", "mse", jit_compile=False)
    model.make_train_function()
    for _ in range(2):
        assert float(model.train_function(batches)["loss"]) > 0
    assert len(counted) == traces
    assert int(model.optimizer.iterations) == 2


def test_a_step_takes_the_losses_that_it_is_given():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, activity_regularizer="l2")])
    model.compile("sgd", "mse")
    x, y = np.ones((2, 1), "float32"), np.zeros((2, 1), "float32")
    predicted = model(x)
    own = model.compute_loss(x, y, predicted)
    given = loss_of_step(model, [tf.constant(3.0)], x, y, predicted, None, True)
    own = float(own) - float(model.losses[0])
    assert float(given) == pytest.approx(own + 3.0)
    track_loss(model, given, 2)
    assert float(model.get_metrics_result()["loss"]) == pytest.approx(float(given))


def test_early_stopping_reads_the_direction_of_a_metric():
    for other, better in ((keras.metrics.AUC(), True), (keras.metrics.MeanSquaredError(), False)):
        metric = keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, name="m")
        take_direction(metric, other)
        model = Notes()
        model.compile("sgd", "mse", metrics=[metric])
        stopping = keras.callbacks.EarlyStopping("val_m", mode="auto", patience=3)
        stopping.set_model(model)
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        stopping._set_monitor_op()
        assert bool(stopping.monitor_op(1.0, 0.0)) == better


class Waits(StepsOfBatches, keras.Model):
    pass


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_no_step_is_counted_behind_the_last_batch():
    def found(kind):
        x = keras.Input((2,))
        model = kind(x, {name: keras.layers.Dense(1)(x) for name in ("a", "b")})
        losses = dict.fromkeys("ab", lambda y, p: 0 * p + 3.0)
        # On a GPU Keras would compile the step, which makes the variables of the metrics.
        model.compile("sgd", losses, jit_compile=False)
        signature = (tf.TensorSpec((None, 2)), dict.fromkeys("ab", tf.TensorSpec((None, 1))))
        batches = [(np.ones((4, 2)), dict.fromkeys("ab", np.ones((4, 1))))] * 3
        data = tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)
        logs = model.fit(data, shuffle=False, verbose=0).history
        return int(model.optimizer.iterations.numpy()), logs["a_loss"][0]

    assert found(Waits) == (3, 3.0)
    # Once they are the same, `StepsOfBatches` can go.
    assert found(keras.Model) == (4, 9 / 4)
