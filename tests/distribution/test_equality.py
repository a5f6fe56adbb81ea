"""Two devices and two workers train what one device trains."""

import functools
import pathlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.distribution.training_run import STEPS, VALID
from tests.helpers.workers import Program, result_of, started_workers

PROGRAM = pathlib.Path(__file__).parent / "under_strategy.py"
pytestmark = pytest.mark.processes


@functools.cache
def mirrored(folder):
    return result_of(Program(PROGRAM, "mirrored", folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def workers(folder):
    with started_workers(2, PROGRAM, "multi_worker", folder) as processes:
        return [result_of(process) for process in processes]


def check_equal(folder, name, found):
    one = mirrored(folder)["one"]
    assert found["replicas"] == 2
    assert found["iterations"] == one["iterations"] == STEPS
    for kind in ("history", "evaluated"):
        assert found[kind] == pytest.approx(one[kind], abs=1e-4)
    expected, given = np.load(folder / "one.npz"), np.load(folder / f"{name}.npz")
    assert sorted(given) == sorted(expected)
    for key in expected:
        np.testing.assert_allclose(given[key], expected[key], atol=1e-4, err_msg=key)
    for task in ("click", "buy"):
        pooled = roc_auc_score(VALID[task], given[f"predicted_{task}"][:, 0])
        assert found["evaluated"][f"{task}_auc"] == pytest.approx(pooled, abs=1e-3)


def test_two_devices(folder):
    found = mirrored(folder)
    check_equal(folder, "mirrored", found["many"])
    assert "batch_size=3" in found["uneven"]


def test_two_workers(folder, workers):
    check_equal(folder, "worker_0", workers[0]["many"])
    check_equal(folder, "worker_1", workers[1]["many"])


def test_two_workers_train_alike_compiled_or_not(workers):
    for found in workers:
        plain, compiled, taken = found["compiled"]
        assert taken
        assert compiled == pytest.approx(plain, abs=1e-5)


def test_replicas_share_shuffled_arrays(folder, workers):
    for found in (mirrored(folder), *workers):
        # 26 rows in batches of 8: the last has 2, so each of its rows weighs four times as much.
        assert sorted(found["seen"]["26"]) == [1.0] * 24 + [4.0] * 2
        # A row too few for two replicas: one gets none, and half the batch's loss is missing.
        assert sorted(found["seen"]["25"]) == [1.0] * 24 + [4.0]
    assert workers[0]["seen"] == workers[1]["seen"]


def test_unset_seeds_are_agreed_on(workers):
    assert workers[0]["same_seed"] == workers[1]["same_seed"]


def test_keras_still_needs_the_mend(workers):
    """Where this fails, upstream has mended it: take the part out of `compat/multi_worker.py`."""
    for found in workers:
        assert [text.partition(":")[0] for text in found["upstream"]] == [
            "reduce_per_replica",
            "_maybe_symbolic_build",
        ]


def test_files_are_shared_row_by_row_or_refused(folder, workers):
    for found in (mirrored(folder), *workers):
        assert found["files"]["seen"] == [1.0] * 24
        assert "batch_size=7" in found["files"]["uneven"]
    for found in workers:
        assert "`shard` must be left out" in found["files"]["shards"]
