"""Kills a training at random moments until it ends, and compares it with one never killed.

    python benchmarks/resume_kills.py [KILLS] [SEED]

SIGKILL, on one CPU device; a checkpoint after every batch, so that many fall into one.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "callbacks" / "resume_run.py"
EPOCHS = 8


def start(folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), "1", str(EPOCHS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.PIPE,
    )


def main(kills=10, seed=0):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = pathlib.Path(scratch, "whole"), pathlib.Path(scratch, "killed")
        begun = time.perf_counter()
        _, errors = (process := start(whole)).communicate(timeout=900)
        assert process.returncode == 0, errors.decode()[-3000:]
        print(f"not killed: {time.perf_counter() - begun:.0f} s", flush=True)
        in_checkpoints = 0
        for kill in range(kills):
            process = start(killed)
            checkpoints = killed / "checkpoints"
            known = set(names(checkpoints))
            # From when it trains: a kill before that would try nothing.
            while process.poll() is None and set(names(checkpoints)) <= known:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 1.5))
            if process.poll() is not None:
                print("it ended before the next kill", process.stderr.read().decode()[-2000:])
                break
            process.send_signal(signal.SIGKILL)
            process.communicate()
            unfinished = any("unfinished" in name for name in names(checkpoints))
            in_checkpoints += unfinished
            print(f"kill {kill + 1}: {names(checkpoints)[:3]}", flush=True)
        _, errors = (process := start(killed)).communicate(timeout=900)
        assert process.returncode == 0, errors.decode()[-3000:]
        compare(whole, killed)
    print(f"bit-equal after {kills} kills, {in_checkpoints} of them while a checkpoint was written")


def names(folder):
    return sorted((path.name for path in folder.iterdir()), reverse=True) if folder.is_dir() else []


def compare(whole, killed):
    expected, found = np.load(whole / "final.npz"), np.load(killed / "final.npz")
    assert sorted(expected) == sorted(found)
    for key in expected:
        assert expected[key].tobytes() == found[key].tobytes(), key
    one, other = (json.loads((f / "final.json").read_text()) for f in (whole, killed))
    for key in one:
        assert one[key] == other[key], key


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
