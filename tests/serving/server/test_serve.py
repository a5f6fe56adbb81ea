import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from rankup_keras.serving import Client, ServingError
from rankup_keras.serving.server.serve import has_image, main
from tests.serving import stand_in
from tests.serving.conftest import free_port


@pytest.mark.processes
def test_the_development_server_where_there_is_no_other(exported):
    """As a user runs it, with no server on PATH and no Docker."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rankup_keras.serving.server.serve", exported.parent, "--port", "0"],
        env={**os.environ, "PATH": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        said = process.stdout.readline() + process.stdout.readline()
        assert "development server, not for production" in said
        address = re.search(r"ranker version 1 on (127\.0\.0\.1:\d+) ", said).group(1)
        with Client(address, "ranker", timeout=30, retries=0) as client:
            assert client.predict(stand_in.make_rows(3))["buy"].shape == (3,)
            rows, ended = stand_in.make_rows(20_000), threading.Event()

            def ask():
                while not ended.is_set():
                    with contextlib.suppress(ServingError):
                        client.predict(rows)

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            # Whatever runs.
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(timeout=5) == 0
            finally:
                ended.set()
                for thread in threads:
                    thread.join()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_real_server_where_it_is_on_the_path(exported, tmp_path, monkeypatch, capfd):
    binary = tmp_path / "bin" / "tensorflow_model_server"
    binary.parent.mkdir()
    binary.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 3\n')
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    before = signal.getsignal(signal.SIGTERM)
    port = free_port()
    try:
        status = main(
            [str(exported.parent), "--config-directory", str(tmp_path / "c"), "--port", str(port)]
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == 3
    said = capfd.readouterr().out
    assert "listens on every interface" in said
    assert f"--port={port}" in said
    assert f"--model_config_file={tmp_path / 'c' / 'models.config'}" in said
    assert str(exported.parent) in (tmp_path / "c" / "models.config").read_text()


def test_an_image_that_is_not_here_is_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_image("tensorflow/serving:latest")
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$*" = "image inspect here" ]\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert has_image("here")
    assert not has_image("elsewhere")
