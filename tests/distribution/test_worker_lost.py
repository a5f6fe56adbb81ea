"""One worker of two is killed in the middle."""

import pathlib
import time

import numpy as np
import pytest

from rankup_keras.training.resume_store import CheckpointStore
from tests.helpers.workers import result_of, started_workers

PROGRAM = pathlib.Path(__file__).parent / "killed_worker.py"
EPOCHS = 12


@pytest.mark.processes
def test_the_other_says_so_and_a_restart_resumes(tmp_path):
    store = CheckpointStore(tmp_path / "checkpoints")
    with started_workers(2, PROGRAM, store.directory, 10_000, 0.05) as workers:
        while not store.numbers():
            assert all(worker.poll() is None for worker in workers)
            time.sleep(0.05)
        workers[1].kill()
        out, errors = workers[0].communicate()
    said = out + errors
    assert "Another worker of this job has died or cannot be reached" in said, said[-3000:]

    with started_workers(2, PROGRAM, store.directory, EPOCHS, 0) as workers:
        first, second = (result_of(worker) for worker in workers)
    assert first["epochs"] == second["epochs"] == list(range(EPOCHS))
    assert first["iterations"] == second["iterations"] == EPOCHS * 4
    # It went on from a checkpoint and did not begin anew.
    assert 0 < first["trained_here"] < EPOCHS * 4
    for ours, theirs in zip(first["weights"], second["weights"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
