"""Plain data of a training run comes back from JSON and arrays as it was."""

import dataclasses
import json
import random

import keras
import numpy as np
import pytest

from rankup_keras.training import resume_state as states


@dataclasses.dataclass
class Record:
    step: int
    values: list


def test_plain_data_keeps_its_types_and_bits():
    value = {
        "floats": [0.1, float("inf"), None, True],
        3: (1, "a"),
        "array": np.arange(3, dtype=np.int16),
        "scalar": np.float32(0.1),
        "set": {1, 2},
        "record": Record(4, [0.3]),
    }
    packer = states.Packer()
    packed = json.loads(json.dumps(packer.pack(value)))
    found = states.Packer(packer.arrays).unpack(packed)
    np.testing.assert_array_equal(found.pop("array"), value.pop("array"))
    assert found == value
    assert type(found["scalar"]) is np.float32


@pytest.mark.parametrize(
    "value",
    [object(), np.array([object()]), [print]],
    ids=["object", "in a list", "function in a list"],
)
def test_other_data_is_named(value):
    with pytest.raises(states.NotPlainDataError):
        states.Packer().pack(value)


def test_a_callback_keeps_what_training_changed():
    callback = keras.callbacks.Callback()
    callback.started, callback.best, callback.seen, callback.data = 1.5, 0.0, [], [np.ones(3)]
    start, packer = states.callback_start(callback), states.Packer()
    callback.best, callback.socket = 0.5, object()
    callback.seen.append(1)
    kept = states.callback_state(callback, start, packer)
    assert sorted(kept) == ["best", "seen"]
    again = keras.callbacks.Callback()
    states.restore_callback(again, kept, packer)
    assert (again.best, again.seen) == (0.5, [1])


def test_random_numbers_go_on_where_they_were():
    def draw():
        rng = np.random
        return [random.random(), rng.rand(), float(keras.random.normal(()))]

    packer = states.Packer()
    state = states.random_state(packer)
    first = draw()
    assert draw() != first
    states.restore_random(state, packer)
    assert draw() == first


def test_files_are_cut_back(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a\nb\n")
    assert states.log_files([keras.callbacks.CSVLogger(str(path))]) == [path]
    states.cut_back(path, 2)
    states.cut_back(tmp_path / "absent", 2)
    assert path.read_text() == "a\n"
