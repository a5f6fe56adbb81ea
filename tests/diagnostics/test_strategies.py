"""The callback under strategies, in processes of their own."""

import pathlib

import pytest

from tests.helpers.workers import Program, result_of, started_workers

SCRIPT = pathlib.Path(__file__).parent / "under_strategies.py"


@pytest.mark.processes
def test_mirrored_on_two_devices(tmp_path):
    found = result_of(Program(SCRIPT, "mirrored", tmp_path))
    assert found["replicas"] == 2
    assert len(found["history"]) == 2
    assert found["history"][-1] == pytest.approx(found["after"], rel=1e-6)
    assert found["control"] != found["after"]
    assert len((tmp_path / "ranks.jsonl").read_text().splitlines()) == 3


@pytest.mark.processes
def test_two_workers_agree_and_the_chief_alone_writes_and_warns(tmp_path):
    with started_workers(2, SCRIPT, "worker", tmp_path) as workers:
        first, second = map(result_of, workers)
    assert first["own"] != pytest.approx(second["own"], rel=1e-4)
    assert first["seen"] == second["seen"]
    assert first["seen"] == pytest.approx((first["own"] + second["own"]) / 2, rel=1e-5)
    assert (first["wrote"], second["wrote"]) == (True, False)
    assert first["warned"] > 0
    assert second["warned"] == 0
