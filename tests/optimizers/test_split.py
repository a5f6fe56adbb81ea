"""`Split` as a user meets it: compile, fit, callbacks, clipping, saving, resuming, two devices."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras import optimizers
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from tests.helpers.workers import Program

ROWS = 50


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    ids = keras.Input((3,), dtype="int32")
    tables = [TableSpec("item", ROWS), TableSpec("shop", 20)]
    fields = [
        FieldSpec("item", "item", 0),
        FieldSpec("shop", "shop", 1),
        FieldSpec("last_item", "item", 2),
    ]
    rows = FieldEmbedding(tables, fields, 4, name="tables")(ids)["shared"]
    hidden = keras.layers.Dense(8, activation="relu")(rows)
    return keras.Model(ids, keras.layers.Dense(1)(hidden))


def data(count=64, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 20, (count, 3)).astype(np.int32)
    return ids, rng.normal(size=(count, 1)).astype(np.float32)


def fit(model, epochs=3, **kwargs):
    x, y = data()
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)  # else the step is traced twice
    return model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **kwargs)


def weights(model):
    return [v.numpy() for v in model.trainable_variables]


def assert_same(ours, theirs, atol=1e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def fit_with_keras(model, optimizer):
    """One epoch by a Keras optimizer, given every row's gradient written out.

    Left to themselves Keras's optimizers square the repeats of a row one by
    one, which is not the square of the row's gradient.
    """
    x, y = data()
    for start in range(0, 64, 16):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x[start : start + 16]) - y[start : start + 16]) ** 2)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        optimizer.apply(gradients, model.trainable_variables)


def test_fit_runs_outside_xla_and_equals_keras():
    ours, theirs = make_model(), make_model()
    ours.compile(optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adagrad(0.1)), "mse")
    fit(ours, epochs=1)
    fit_with_keras(theirs, keras.optimizers.Adagrad(0.1))
    assert ours.jit_compile is False
    assert_same(weights(ours), weights(theirs))


def test_each_part_gets_its_own_variables():
    model = make_model()
    model.compile(optimizers.Split("adagrad", "adam"), "mse")
    before = weights(model)
    fit(model)
    split = model.optimizer
    assert [v.shape for v in split.embeddings._trainable_variables] == [(70, 4)]
    assert len(split.dense._trainable_variables) == 4
    assert all(np.any(a != b) for a, b in zip(before, weights(model), strict=True))


@pytest.mark.parametrize(
    "clipping", [{"global_clipnorm": 0.05}, {"clipnorm": 0.02}, {"clipvalue": 0.01}]
)
def test_clipping_counts_tables_and_dense_weights_together(clipping):
    ours, theirs = make_model(), make_model()
    ours.compile(optimizers.Split(optimizers.SGD(0.5), optimizers.SGD(0.5), **clipping), "mse")

    fit(ours, epochs=1)
    fit_with_keras(theirs, keras.optimizers.SGD(0.5, **clipping))
    assert_same(weights(ours), weights(theirs))


def test_global_clipping_never_makes_a_dense_gradient_of_a_table():
    model = make_model()
    split = optimizers.Split("adagrad", "adam", global_clipnorm=1.0)
    model.compile(split, "mse")
    x, y = data()
    split.build(model.trainable_variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x) - y) ** 2)
        variables = model.trainable_variables
        split.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    graph = step.get_concrete_function(tf.constant(x), tf.constant(y)).graph
    tables = [
        op.name
        for op in graph.get_operations()
        for output in op.outputs
        if output.shape.rank == 2 and output.shape[0] == ROWS + 20
    ]
    assert tables == []


def test_saved_model_resumes_where_it_stopped(tmp_path):
    whole = make_model()
    whole.compile(optimizers.Split("adagrad", "adam"), "mse")
    fit(whole, epochs=4)

    first = make_model()
    first.compile(optimizers.Split("adagrad", "adam"), "mse")
    fit(first, epochs=2)
    first.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(resumed.optimizer, optimizers.Split)
    assert len(resumed.optimizer.variables) == len(first.optimizer.variables)
    for a, b in zip(resumed.optimizer.variables, first.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    fit(resumed, epochs=2)
    assert_same(weights(resumed), weights(whole), atol=0)


def test_backup_and_restore_callback_resumes(tmp_path):
    whole = make_model()
    whole.compile(optimizers.Split("adagrad", "adam"), "mse")
    fit(whole, epochs=3)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    broken = make_model()
    broken.compile(optimizers.Split("adagrad", "adam"), "mse")
    backup = str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(broken, callbacks=[keras.callbacks.BackupAndRestore(backup), Stop()])
    again = make_model(seed=3)
    again.compile(optimizers.Split("adagrad", "adam"), "mse")
    fit(again, callbacks=[keras.callbacks.BackupAndRestore(backup)])
    assert_same(weights(again), weights(whole), atol=0)


def test_setting_the_learning_rate_keeps_the_ratio():
    split = optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adam(0.01))
    split.learning_rate = 0.002
    assert float(split.dense.learning_rate) == pytest.approx(0.002)
    assert float(split.embeddings.learning_rate) == pytest.approx(0.02)


def test_learning_rate_callback_reaches_both():
    model = make_model()
    model.compile(optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adam(0.01)), "mse")
    fit(model, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 10)])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-5)
    assert float(model.optimizer.embeddings.learning_rate) == pytest.approx(1e-4)


class Assigns(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate.assign([0.02, 0.0, 0.005][epoch])


def test_assigned_rates_reach_both_parts_and_zero_stops_both():
    model = make_model()
    model.compile(optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adam(0.01)), "mse")
    embeddings = model.optimizer.embeddings
    fit(model, epochs=1)
    before = weights(model)
    model.optimizer.learning_rate.assign(0.0)
    assert float(embeddings.learning_rate) == 0.0
    fit(model, epochs=1)
    assert_same(weights(model), before, atol=0)
    # The ratio outlives the 0, in a config too.
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model.optimizer)
    )
    for split in (model.optimizer, again):
        split.learning_rate.assign(0.001)
        assert float(split.embeddings.learning_rate) == pytest.approx(0.01)
    fit(model, epochs=3, callbacks=[Assigns()])
    assert float(embeddings.learning_rate) == pytest.approx(0.05)


def test_an_assigned_rate_is_what_the_tables_are_trained_by():
    models = [make_model(), make_model()]
    for model, rates in zip(models, [(0.1, 0.01), (0.2, 0.02)], strict=True):
        parts = optimizers.Adagrad(rates[0]), optimizers.SGD(rates[1])
        model.compile(optimizers.Split(*parts), "mse")
    models[0].optimizer.learning_rate.assign(0.02)
    for model in models:
        fit(model)
    assert_same(*map(weights, models), atol=1e-7)


def test_the_tables_own_rate_changes_the_ratio():
    split = optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adam(0.01))
    split.learning_rate = 0.02
    split.embeddings.learning_rate = 0.5
    assert float(split.embeddings.learning_rate) == pytest.approx(0.5)
    split.learning_rate = 0.01
    assert float(split.embeddings.learning_rate) == pytest.approx(0.25)
    split.learning_rate = 0.0
    with pytest.raises(ValueError, match="follows that of the dense part, which is 0"):
        split.embeddings.learning_rate = 0.1


def test_rates_survive_a_saved_model(tmp_path):
    model = make_model()
    model.compile(optimizers.Split(optimizers.Adagrad(0.1), optimizers.Adam(0.01)), "mse")
    fit(model, epochs=1)
    model.optimizer.learning_rate.assign(0.001)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert float(loaded.learning_rate) == pytest.approx(0.001)
    assert float(loaded.embeddings.learning_rate) == pytest.approx(0.01)
    loaded.learning_rate = 0.01
    assert float(loaded.embeddings.learning_rate) == pytest.approx(0.1)


def test_the_ratio_survives_a_reload_with_an_assigned_schedule(tmp_path):
    model = make_model()
    model.compile(optimizers.Split(optimizers.Adagrad(0.05), "adam"), "mse")
    model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(1e-5, 10, 0.9)
    model.fit(*data(), epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    for optimizer in (model.optimizer, loaded):
        # Adam's rate was 0.001 at first.
        of_tables, of_rest = map(
            float, (optimizer.embeddings.learning_rate, optimizer.dense.learning_rate)
        )
        assert of_tables == pytest.approx(50 * of_rest, rel=1e-5)
        assert of_rest == pytest.approx(float(model.optimizer.dense.learning_rate))


def test_setting_a_rate_over_a_schedule_is_refused():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    split = optimizers.Split(optimizers.Adagrad(schedule), "adam")
    with pytest.raises(TypeError, match="schedule"):
        split.learning_rate = 0.1


def test_schedules_are_saved_and_followed(tmp_path):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.0)
    model = make_model()
    model.compile(optimizers.Split(optimizers.Adagrad(schedule), keras.optimizers.SGD(0.0)), "mse")
    x, y = data()
    model.train_on_batch(x, y)
    after_one = weights(model)
    model.train_on_batch(x, y)
    assert_same(weights(model), after_one, atol=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


def test_users_own_layers_are_named_by_path():
    ids = keras.Input((2,), dtype="int32")
    rows = keras.layers.Embedding(30, 4, name="mine")(ids)
    model = keras.Model(ids, keras.layers.Dense(1)(keras.layers.Flatten()(rows)))
    model.compile(optimizers.Split("sgd", "adam", row_sparse=["mine/"]), "mse", jit_compile=False)
    x = np.array([[1, 2], [2, 3]], np.int32)
    before = model.get_weights()[0]
    model.fit(x, np.ones((2, 1)), verbose=0)
    changed = np.any(model.get_weights()[0] != before, axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed), [1, 2, 3])
    assert len(model.optimizer.embeddings._trainable_variables) == 1


def test_keras_optimizers_are_replaced_by_their_row_sparse_forms():
    split = optimizers.Split(keras.optimizers.Adagrad(0.3), "rmsprop")
    assert type(split.embeddings) is optimizers.Adagrad
    assert float(split.embeddings.learning_rate) == pytest.approx(0.3)
    assert type(split.dense) is keras.optimizers.RMSprop


@pytest.mark.parametrize("wrong", ["adam", "rmsprop", keras.optimizers.RMSprop()])
def test_embeddings_without_a_row_sparse_form_are_refused(wrong):
    with pytest.raises(ValueError, match=r"`embeddings` must"):
        optimizers.Split(embeddings=wrong)


def test_weights_excluded_from_decay_are_those_of_the_dense_part():
    found = []
    for decay, names in ((0.5, ["bias", "kernel"]), (0.5, ["bias"]), (0.0, None)):
        split = optimizers.Split("adagrad", keras.optimizers.AdamW(0.1, weight_decay=decay))
        split.exclude_from_weight_decay(var_names=names)
        model = make_model()
        model.compile(split, "mse")
        fit(model, epochs=1)
        found.append(weights(model))
    assert_same(found[0], found[2], atol=0)
    assert any((a != b).any() for a, b in zip(found[1], found[2], strict=True))


def test_moving_averages_of_the_dense_part():
    model = make_model()
    dense = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model.compile(optimizers.Split("sgd", dense), "mse")
    fit(model, epochs=1)
    averages = [v.numpy() for v in dense._model_variables_moving_average]
    assert_same(weights(model)[1:], averages, atol=0)


def test_validation_is_by_the_averages_of_the_dense_part(tmp_path):
    """The averages of NumPy, the tables as they were trained; and training goes on without."""
    seen = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(weights(self.model))

    def compiled(momentum):
        model = make_model()
        dense = keras.optimizers.SGD(0.1, use_ema=momentum is not None, ema_momentum=momentum or 0)
        model.compile(optimizers.Split("sgd", dense), "mse")
        return model

    plain, averaged = compiled(None), compiled(0.5)
    fit(plain, epochs=2, callbacks=[Note()])
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    history = fit(averaged, epochs=2, validation_data=data(seed=1), callbacks=[swap, best])
    means = [None] * len(seen[0])
    for step, values in enumerate(seen):
        for number, value in enumerate(values):
            old = means[number] if step else value
            means[number] = 0.5 * old + 0.5 * value if number else value
        if (step + 1) % 4 == 0:
            epoch = (step + 1) // 4
            kept = keras.saving.load_model(tmp_path / f"{epoch}.keras")
            assert_same(weights(kept), means)
            loss = history.history["val_loss"][epoch - 1]
            assert kept.evaluate(*data(seed=1), verbose=0) == pytest.approx(loss, rel=1e-5)
    assert_same(weights(averaged), means)


@pytest.mark.processes
def test_two_devices_give_what_one_gives():
    # A second CPU device can only be asked for before TensorFlow starts.
    program = Program(pathlib.Path(__file__).with_name("split_on_two_devices.py"))
    out, errors = program.communicate()
    assert program.poll() == 0, errors[-3000:]
    # With the devices of slots of a table on the second one.
    assert out.splitlines() == ["adagrad 1", "row_wise_adagrad 1", "ftrl 1", "lazy_adam 1", "sgd"]
