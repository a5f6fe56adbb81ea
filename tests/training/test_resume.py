"""A training killed anywhere ends as one that was not."""

import pathlib

import keras
import numpy as np
import pytest

from rankup_keras.training.resume import Resume
from rankup_keras.training.resume_store import CheckpointStore
from tests.training.resume_run import BATCHES, EPOCHS, run


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


def run_with_kills(folder, batches, **arguments):
    for batch in batches:
        with pytest.raises(Killed):
            run(folder, extra=[KillAt(batch)], **arguments)
    return run(folder, extra=[KillAt(10**6)], **arguments)


@pytest.mark.parametrize("kind", ["dataset", "arrays", "unknown", "stream"])
def test_killed_twice_ends_as_if_never(tmp_path, kind):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected = run(tmp_path / "whole", kind=kind, extra=[KillAt(10**6)])
    # In the first epoch after a checkpoint; then in the second, where the replay has passed one.
    found = run_with_kills(tmp_path / "killed", [5, BATCHES + 2], kind=kind)
    check_equal(found, expected)
    assert expected["epochs"] == list(range(EPOCHS))
    assert len(expected["csv"].splitlines()) == 1 + EPOCHS


def test_it_changes_nothing(tmp_path):
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    with_it = run(tmp_path / "with", epochs=1)
    without = run(tmp_path / "without", epochs=1, resume=False)
    check_equal(with_it, without)
