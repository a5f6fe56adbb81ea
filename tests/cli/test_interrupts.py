"""Ctrl-C and readers that go away."""

import os
import pathlib
import subprocess
import sys

import pytest

from rankup_keras.cli.interrupts import Enduring

# Presses Ctrl-C when a module begins to be imported.
PROGRAM = """
import os, signal, sys
from rankup_keras.cli import main
moment = sys.stdin.read()
sys.argv = ["rankup-keras", "train", "ads.yaml"]

def press(event, found):
    global moment
    if event == "import" and found[0] == moment:
        moment = None
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(press)
sys.exit(main())
"""

# Nothing is wrong with it, or that would be told before TensorFlow is imported.
CONFIGURATION = """
data: {path: ads.csv}
features: [{type: categorical, name: ad}]
tasks: [click]
"""


@pytest.mark.processes
@pytest.mark.parametrize("moment", ["rankup_keras.cli.commands", "tensorflow.python.framework.ops"])
def test_an_interruption_is_one_word(tmp_path, moment):
    root = pathlib.Path(__file__).parents[2]
    (tmp_path / "ads.csv").write_text("ad,click\n1,0\n2,1\n")
    (tmp_path / "ads.yaml").write_text(CONFIGURATION)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=moment, cwd=tmp_path, capture_output=True, text=True, check=False,
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
