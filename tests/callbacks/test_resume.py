"""A training killed anywhere ends as one that was not."""

import functools
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.callbacks.resume import Resume
from rankup_keras.training.resume_store import CheckpointStore
from tests.callbacks.resume_run import BATCHES, EPOCHS, run


class Killed(BaseException):
    """Ends a training as abruptly as a process can from inside."""


class KillAt(keras.callbacks.Callback):
    def __init__(self, batch):
        super().__init__()
        # No plain number: that would be restored with the rest.
        self.batches = iter(range(batch))

    def on_train_batch_begin(self, batch, logs=None):
        if next(self.batches, None) is None:
            raise Killed


def check_equal(found, expected):
    for name in ("weights", "slots", "best"):
        assert len(found[name]) == len(expected[name])
        for ours, theirs in zip(found[name], expected[name], strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    for name in ("history", "epochs", "stop", "csv", "ranks", "rank_file"):
        assert found[name] == expected[name], name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What trainings that nothing kills end with, each made once."""

    @functools.cache
    def made(kind="dataset", epochs=EPOCHS):
        extra = [KillAt(10**6)]
        return run(
            tmp_path_factory.mktemp("whole"), kind=kind, epochs=epochs, extra=extra, jit=jit(kind)
        )

    return made


def jit(kind):
    """Where XLA compiles what lies behind the tables, it draws dropout of the same state too."""
    return kind == "arrays"


def run_with_kills(folder, batches, **arguments):
    for batch in batches:
        with pytest.raises(Killed):
            run(folder, extra=[KillAt(batch)], **arguments)
    return run(folder, extra=[KillAt(10**6)], **arguments)


class KillAtValidation(keras.callbacks.Callback):
    def on_test_begin(self, logs=None):
        raise Killed


def test_killed_between_the_last_batch_and_the_end_of_an_epoch(tmp_path, whole):
    settings = {"every": 1, "epochs": 2, "jit": False}
    with pytest.raises(Killed):
        run(tmp_path, extra=[KillAtValidation()], **settings)
    check_equal(run(tmp_path, extra=[KillAt(10**6)], **settings), whole(epochs=2))


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("dataset", [5, BATCHES + 2]),
        ("arrays", [BATCHES + 2]),
        ("unknown", [5, BATCHES + 2]),
        ("stream", [BATCHES + 2]),
    ],
)
def test_killed_anywhere_ends_as_if_never(tmp_path, kind, kills, whole):
    expected = whole(kind)
    # In the first epoch; then in a later one, where the replay passes over whole epochs.
    found = run_with_kills(tmp_path, kills, kind=kind, jit=jit(kind))
    check_equal(found, expected)
    assert expected["epochs"] == list(range(EPOCHS))
    assert len(expected["csv"].splitlines()) == 1 + EPOCHS


def test_it_changes_nothing(tmp_path, whole):
    check_equal(run(tmp_path, epochs=2, resume=False, jit=False), whole(epochs=2))


def test_killed_while_a_checkpoint_is_written(tmp_path, monkeypatch, whole):
    expected = whole(epochs=2)
    rename = pathlib.Path.rename

    def killed(self, target):
        raise Killed

    store = CheckpointStore(tmp_path / "checkpoints")
    with pytest.raises(Killed):
        run(tmp_path, epochs=2, jit=False, extra=[KillAt(BATCHES + 1)])
    before = store.numbers()
    monkeypatch.setattr(pathlib.Path, "rename", killed)
    with pytest.raises(Killed):
        run(tmp_path, epochs=2, jit=False, extra=[KillAt(10**6)])
    monkeypatch.setattr(pathlib.Path, "rename", rename)
    assert store.numbers() == before
    assert (store.directory / "unfinished-chief").is_dir()
    check_equal(run(tmp_path, epochs=2, jit=False, extra=[KillAt(10**6)]), expected)

    # A finished training that is started again trains nothing and has the same to say.
    again = run(tmp_path, epochs=2, jit=False, extra=[KillAt(0)])
    check_equal(again, expected)

    # The newest checkpoint loses its end: the one before is used, and leads to the same end.
    newest = store.path(store.numbers()[-1]) / "variables.data-00000-of-00001"
    with newest.open("r+b") as file:
        file.truncate(newest.stat().st_size - 1)
    with pytest.warns(UserWarning, match="is damaged and skipped: 'variables.data"):
        mended = run(tmp_path, epochs=2, jit=False, extra=[KillAt(10**6)])
    check_equal(mended, expected)
    assert len(store.numbers()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"every": 0}, "every"), ({"every": "batch"}, "every"), ({"keep": 0}, "keep=0")],
)
def test_wrong_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        Resume(tmp_path, **arguments)


def tiny(units=1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("sgd", "mse")
    return model


def fit_tiny(model, resume, epochs=2, rows=8):
    return model.fit(
        np.ones((rows, 2)), np.ones((rows, 1)), 2, epochs=epochs, callbacks=[resume], verbose=0
    )


def test_another_model_is_refused(tmp_path):
    fit_tiny(tiny(), Resume(tmp_path))
    with pytest.raises(ValueError, match=r"of another model or optimizer.*\[2, 1\].*\[2, 3\]"):
        fit_tiny(tiny(3), Resume(tmp_path))
    with pytest.raises(ValueError, match="1 callbacks"):
        fit_tiny(tiny(), Resume(tmp_path, [keras.callbacks.TerminateOnNaN()]))


def test_data_that_ends_early_is_refused(tmp_path):
    with pytest.raises(Killed):
        fit_tiny(tiny(), Resume(tmp_path, [KillAt(3)], every=1))
    dataset = tf.data.Dataset.from_tensors((np.ones((2, 2)), np.ones((2, 1))))
    with pytest.raises(ValueError, match="data ended after 1 batches of epoch 0"):
        tiny().fit(
            dataset.filter(lambda x, y: True),
            epochs=1,
            callbacks=[Resume(tmp_path, [KillAt(99)], every=1)],
            shuffle=False,
            verbose=0,
        )


def test_more_epochs_go_on_from_the_end(tmp_path):
    fit_tiny(tiny(), Resume(tmp_path), epochs=2)
    model = tiny()
    history = fit_tiny(model, Resume(tmp_path), epochs=5)
    assert history.epoch == [0, 1, 2, 3, 4]
    assert len(history.history["loss"]) == 5
    assert int(model.optimizer.iterations.numpy()) == 5 * 4
    # The model is its own again.
    assert model._initial_epoch is None
    assert model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=1, verbose=0).epoch == [0]


def test_a_last_validation_does_not_count_as_training(tmp_path):
    """Its sums are in the checkpoint that the end of training leaves."""

    def fit(folder, epochs):
        keras.utils.set_random_seed(0)
        return (
            tiny()
            .fit(
                np.ones((8, 2)),
                np.ones((8, 1)),
                2,
                epochs=epochs,
                validation_data=(np.ones((8, 2)), np.full((8, 1), 9.0)),
                callbacks=[Resume(folder)],
                verbose=0,
            )
            .history
        )

    fit(tmp_path / "broken", 1)
    assert fit(tmp_path / "broken", 2) == fit(tmp_path / "whole", 2)


def test_other_data_are_refused_unless_told(tmp_path):
    never = [KillAt(10**6)]
    fit_tiny(tiny(), Resume(tmp_path / "a", never, data="day 1"), epochs=2)
    with pytest.raises(ValueError, match=r"on other data.*data_changed=True"):
        fit_tiny(tiny(), Resume(tmp_path / "a", never, data="day 2"), epochs=3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    def go_on(folder, changed, kill=10**6):
        keras.utils.set_random_seed(0)
        model = tiny()
        x = np.random.default_rng(0).normal(size=(12, 2))
        rows = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).shuffle(12).batch(2)
        resume = Resume(folder, [KillAt(kill)], every=1, data="day 2", data_changed=changed)
        history = model.fit(rows, epochs=5, callbacks=[resume], shuffle=False, verbose=0)
        assert history.epoch == [0, 1, 2, 3, 4]
        assert int(model.optimizer.iterations.numpy()) == 2 * 4 + 3 * 6
        return history.history, [weight.tolist() for weight in model.get_weights()]

    whole = go_on(tmp_path / "a", True)
    with pytest.raises(Killed):
        go_on(tmp_path / "b", True, kill=9)
    assert go_on(tmp_path / "b", False) == whole
