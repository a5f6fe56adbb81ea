"""The callback under strategies, in processes of their own."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "under_strategies.py"


def start(kind, folder, environment=None):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), kind, str(folder)],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process):
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    (line,) = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))


@pytest.mark.processes
def test_mirrored_on_two_devices(tmp_path):
    found = result_of(start("mirrored", tmp_path))
    assert found["replicas"] == 2
    assert len(found["history"]) == 2
    assert found["history"][-1] == pytest.approx(found["after"], rel=1e-6)
    assert found["control"] != found["after"]
    assert len((tmp_path / "ranks.jsonl").read_text().splitlines()) == 3


@pytest.mark.processes
def test_two_workers_agree_and_the_chief_alone_writes_and_warns(tmp_path):
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes = [
        start(
            "worker",
            tmp_path,
            {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                )
            },
        )
        for index in range(2)
    ]
    try:
        first, second = (result_of(process) for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert first["own"] != pytest.approx(second["own"], rel=1e-4)
    assert first["seen"] == second["seen"]
    assert first["seen"] == pytest.approx((first["own"] + second["own"]) / 2, rel=1e-5)
    assert (first["wrote"], second["wrote"]) == (True, False)
    assert first["warned"] > 0
    assert second["warned"] == 0
