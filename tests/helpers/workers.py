"""Starts the processes of a job on loopback, and ends them."""

import contextlib
import json
import os
import socket
import subprocess
import sys


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start(command, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def started_workers(count, command):
    """`count` processes of `command`, each with its own TF_CONFIG; killed at the end."""
    addresses = free_addresses(count)
    workers = [
        start(
            command,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            if not worker.stdout.closed:
                worker.communicate()


def result_of(process, timeout=240):
    """The JSON after RESULT in what a process printed."""
    out, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors[-3000:]
    (line,) = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))
