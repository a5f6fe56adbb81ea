"""Versions that appear while others watch: whole or not at all."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving import Client, DevelopmentServer, ExportError, export, load_session
from tests.serving import stand_in
from tests.serving.conftest import KINDS, any_server

EXPORTS, REFUSED = 12, (3, 7)
# Seconds that what happens in one may take on a machine that is busy with other things.
PATIENCE = 120
ROOT = pathlib.Path(__file__).parents[3]
# Forks before TensorFlow has started a thread, so that its import is paid for once. Each line
# that comes in makes one process that exports until it is killed; its id goes out.
CHILD = """
import os, sys
sys.path.insert(0, {root!r})
from tests.serving import stand_in
from rankup_keras.serving import export
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        model = stand_in.make_small()
        while True:
            export(model, {base!r}, warmup=stand_in.small_rows(20), signatures=["serving_default"])
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


@keras.saving.register_keras_serializable("tests")
class Unsteady(keras.layers.Layer):
    """Makes an export that its gate refuses."""

    def call(self, x):
        return x + tf.random.uniform(tf.shape(x))

    def compute_output_shape(self, shape):
        return shape


class Watcher(threading.Thread):
    """Loads every version the moment that it appears, as a C++ server would, and scores a row."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.base, self.seen, self.broken = base, {}, {}
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            for name in os.listdir(self.base):
                if name.isdigit() and name not in self.seen and name not in self.broken:
                    self.look(name)
            time.sleep(0.001)

    def look(self, name):
        try:
            with load_session(self.base / name) as loaded:
                self.seen[name] = loaded.run(stand_in.small_rows(3))["click"]
            json.loads((self.base / name / "model.json").read_text())
        except Exception as error:
            self.broken[name] = repr(error)


def kill_half_way(parent, base, moment):
    """Kills an exporting process when its unfinished directory has a file of that name."""
    parent.stdin.write("go\n")
    parent.stdin.flush()
    pid = int(parent.stdout.readline())
    mine = re.compile(rf"\.exporting-.*-{pid}-")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for place in base.iterdir():
            if mine.match(place.name) and (moment is None or (place / moment).exists()):
                os.kill(pid, signal.SIGKILL)
                assert parent.stdout.readline() == "ended\n"
                return
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    raise TimeoutError(f"no unfinished directory with {moment}")


@pytest.mark.processes
def test_a_watcher_never_sees_a_directory_that_does_not_load(tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(root=str(ROOT), base=str(base))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    moments = (None, "saved_model.pb", "assets.extra/tf_serving_warmup_requests")
    good, bad = stand_in.make_small(), stand_in.make_small(layer=Unsteady())
    want = stand_in.predict(good, stand_in.small_rows(3))["click"]
    few = {"signatures": ["serving_default"]}
    watcher = Watcher(base)
    watcher.start()
    mine = []
    try:
        for moment in moments:
            kill_half_way(parent, base, moment)
        left = [p for p in base.iterdir() if p.name.startswith(".exporting")]
        assert left, "the processes were to leave something unfinished"
        for index in range(EXPORTS - len(moments)):
            if index in REFUSED:
                with pytest.raises(ExportError, match="differs from the model"):
                    export(bad, base, **few)
            else:
                mine.append(export(good, base, **few).name)
        end = time.monotonic() + PATIENCE
        while set(mine) - set(watcher.seen) - set(watcher.broken) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        watcher.stopping.set()
        watcher.join()
        parent.communicate(timeout=PATIENCE)
    assert len(mine) == EXPORTS - len(moments) - len(REFUSED)
    assert watcher.broken == {}
    # What the killed processes finished before is published too, and was seen to load.
    assert set(mine) <= set(watcher.seen)
    for name in mine:
        np.testing.assert_allclose(watcher.seen[name], want, atol=1e-6)
    # The next export swept up after the killed ones.
    assert all(name.isdigit() for name in os.listdir(base))


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_is_lost_while_versions_are_swapped(kind, tmp_path):
    models = [stand_in.make_small(seed) for seed in range(3)]
    few = {"signatures": ["serving_default"]}
    rows = stand_in.small_rows(5)
    answers = [stand_in.predict(model, rows)["click"] for model in models]
    export(models[0], tmp_path / "m", warmup=rows, **few)
    stop, wrong, seen = threading.Event(), [], [set() for _ in range(4)]

    def ask(server, seen):
        with Client(server.address, server.name, retries=0, timeout=PATIENCE) as client:
            # A pause, so that the exports and the server of the same process get on.
            while not stop.wait(0.005):
                try:
                    got = client.predict(rows)["click"]
                except Exception as error:
                    wrong.append(repr(error))
                    continue
                by = [n for n, answer in enumerate(answers) if np.allclose(got, answer, atol=1e-6)]
                seen.update(by)
                if not by:
                    wrong.append(got)

    def wait_until_all_have_seen(number):
        end = time.monotonic() + PATIENCE
        while not all(number in each for each in seen):
            assert not wrong
            assert time.monotonic() < end, f"version {number + 1} was not taken up"
            time.sleep(0.01)

    with any_server(kind, tmp_path / "m", tmp_path / "config") as server:
        threads = [threading.Thread(target=ask, args=(server, each)) for each in seen]
        for thread in threads:
            thread.start()
        try:
            wait_until_all_have_seen(0)
            for number, model in enumerate(models[1:], start=1):
                export(model, tmp_path / "m", warmup=rows, **few)
                wait_until_all_have_seen(number)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert wrong == []


def test_a_broken_version_is_passed_over(tmp_path):
    rows = stand_in.small_rows(2)
    export(stand_in.make_small(), tmp_path / "m", signatures=["serving_default"])
    broken = tmp_path / "m" / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with DevelopmentServer(tmp_path / "m", port=0) as server:
        assert server.version == 1
        assert list(server.failed) == [2]
        with Client(server.address, "m") as client:
            assert client.predict(rows)["click"].shape == (2,)
