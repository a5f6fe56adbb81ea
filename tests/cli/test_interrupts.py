"""Ctrl-C and readers that go away."""

import os
import pathlib
import subprocess
import sys

import pytest

from rankup_keras.cli.interrupts import Enduring

# Presses Ctrl-C while TensorFlow is imported, and once more at what cleans up.
PROGRAM = """
import os, signal, sys, threading
from rankup_keras.cli import main
sys.argv = ["rankup-keras", "train", "ads.yaml"]
threading.Timer(float(sys.stdin.read()), os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(main())
"""


@pytest.mark.processes
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_an_interruption_is_one_word(tmp_path, seconds):
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=str(seconds), cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_a_reader_that_goes_away_stops_nothing():
    reading, writing = os.pipe()
    stream = Enduring(os.fdopen(writing, "w"))
    print("one", file=stream, flush=True)
    os.close(reading)
    for number in range(10_000):
        print(number, file=stream)
    stream.flush()
    assert not stream.isatty()
    stream.close()
