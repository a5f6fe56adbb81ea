"""Starts programs in processes of their own, and ends them."""

import contextlib
import gc
import json
import multiprocessing
import os
import pathlib
import runpy
import socket
import subprocess
import sys
import tempfile

# Processes are forked from one that has imported Keras and TensorFlow and started nothing: the
# import takes longer than most programs of the tests.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["keras"])


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start(command, **environment):
    """A new Python, for tests of what happens as it starts."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Program:
    """A Python file running in a process of its own.

    Args:
        path: the file.
        arguments: those of its command line.
        folder: where it runs; by default where this process does.
        environment: variables beside those of this process.
    """

    def __init__(self, path, *arguments, folder=".", **environment):
        self._folder = tempfile.TemporaryDirectory()
        self._said = [pathlib.Path(self._folder.name, name) for name in ("stdout", "stderr")]
        argv = [str(path), *map(str, arguments)]
        self._process = _FORKS.Process(target=_run, args=(argv, folder, environment, self._said))
        self._process.start()

    def poll(self):
        """Exit status, `None` while it runs."""
        return self._process.exitcode

    def kill(self):
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def communicate(self, timeout=240):
        """What it wrote to stdout and stderr, once it has ended."""
        self._process.join(timeout)
        assert self.poll() is not None, f"still running after {timeout} s"
        said = [path.read_text() for path in self._said]
        self._folder.cleanup()
        return said


def _run(argv, folder, environment, said):
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = argv
    # What is imported is not looked through for garbage again and again, as in `conftest.py`.
    gc.freeze()
    gc.set_threshold(5000)
    runpy.run_path(argv[0], run_name="__main__")


@contextlib.contextmanager
def started_workers(count, path, *arguments):
    """`count` processes of a program, each with its own TF_CONFIG; killed at the end."""
    addresses = free_addresses(count)
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    configs = [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]
    workers = [Program(path, *arguments, TF_CONFIG=config) for config in configs]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()


def run_code(code, folder, *arguments):
    """Runs Python code in a process of its own, in a folder; an error there is one here."""
    path = pathlib.Path(folder, "code_of_its_own.py").resolve()
    path.write_text(code)
    program = Program(path, *arguments, folder=folder)
    said, errors = program.communicate()
    assert program.poll() == 0, errors[-3000:]
    return said


def result_of(program, timeout=240):
    """The JSON after RESULT in what a program printed."""
    out, errors = program.communicate(timeout)
    assert program.poll() == 0, errors[-3000:]
    (line,) = [line for line in out.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))
