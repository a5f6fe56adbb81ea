"""A task's loss, by instance, name and config; the rest in `test_towers.py`."""

import json

import keras
import pytest

from rankup_keras.layers.towers import Task


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (None, keras.losses.BinaryCrossentropy),
        ("BinaryFocalCrossentropy", keras.losses.BinaryFocalCrossentropy),
        (keras.losses.BinaryFocalCrossentropy(gamma=3.0), keras.losses.BinaryFocalCrossentropy),
        (keras.losses.serialize(keras.losses.Poisson()), keras.losses.Poisson),
    ],
    ids=["default", "name", "instance", "config"],
)
def test_losses(loss, kind):
    task = Task("click", loss=loss)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(task)))
    again = keras.saving.deserialize_keras_object(config)
    for made in (task.loss, again.loss):
        assert type(made) is kind
        assert made.get_config() == task.loss.get_config()


def test_a_function_by_name():
    again = Task.from_config(Task("click", loss="mse").get_config())
    assert again.loss is keras.losses.mean_squared_error


def test_unknown_losses_are_refused():
    with pytest.raises(ValueError, match="no such loss"):
        Task("click", loss="no such loss")
