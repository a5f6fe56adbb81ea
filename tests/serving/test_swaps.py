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

EXPORTS, KILLED, REFUSED = 20, 3, 2
ROOT = pathlib.Path(__file__).parents[2]
CHILD = """
import sys
sys.path.insert(0, {root!r})
from tests.serving import stand_in
from rankup_keras.serving import export
model = stand_in.make_small()
print("ready", flush=True)
for _ in range(1000):
    export(model, {base!r}, warmup=stand_in.small_rows(20))
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


def kill_half_way(child, base, moment):
    """Kills an exporting process when its unfinished directory has a file of that name."""
    end = time.monotonic() + 60
    mine = re.compile(rf"\.exporting-.*-{child.pid}-")
    while time.monotonic() < end:
        for place in base.iterdir():
            if mine.match(place.name) and (moment is None or (place / moment).exists()):
                child.send_signal(signal.SIGKILL)
                child.wait(timeout=20)
                return
    raise TimeoutError


@pytest.mark.processes
def test_a_watcher_never_sees_a_directory_that_does_not_load(tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    code = CHILD.format(root=str(ROOT), base=str(base))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(KILLED)
    ]
    watcher = Watcher(base)
    watcher.start()
    try:
        killed = 0
        for child, moment in zip(
            children,
            (None, "saved_model.pb", "assets.extra/tf_serving_warmup_requests"),
            strict=True,
        ):
            assert child.stdout.readline() == b"ready\n"
            kill_half_way(child, base, moment)
            killed += child.returncode == -signal.SIGKILL
        assert killed == KILLED
        left = [p for p in base.iterdir() if p.name.startswith(".exporting")]
        assert left, "the processes were to leave something unfinished"

        # What the killed processes finished before is published too, and counts.
        good = stand_in.make_small()
        want = stand_in.predict(good, stand_in.small_rows(3))["click"]
        mine = []
        for index in range(EXPORTS - KILLED):
            if index % 7 == 3 and index < 7 * REFUSED:
                with pytest.raises(ExportError, match="differs from the model"):
                    export(stand_in.make_small(Unsteady()), base)
            else:
                mine.append(export(good, base).name)
        assert len(mine) == EXPORTS - KILLED - REFUSED
        end = time.monotonic() + 30
        while set(mine) - set(watcher.seen) - set(watcher.broken) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        watcher.stopping.set()
        watcher.join()
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()
    assert watcher.broken == {}
    assert set(mine) <= set(watcher.seen)
    for name in mine:
        np.testing.assert_allclose(watcher.seen[name], want, atol=1e-6)
    # The next export swept up after the killed ones.
    assert all(name.isdigit() for name in os.listdir(base))


def test_no_request_is_lost_while_versions_are_swapped(tmp_path):
    models = [stand_in.make_small() for _ in range(4)]
    rows = stand_in.small_rows(5)
    answers = [stand_in.predict(model, rows)["click"] for model in models]
    export(models[0], tmp_path / "m", warmup=rows)
    stop, wrong, counts = threading.Event(), [], []

    def ask(address):
        count = 0
        with Client(address, "m", retries=0, timeout=20) as client:
            while not stop.is_set():
                try:
                    got = client.predict(rows)["click"]
                except Exception as error:
                    wrong.append(repr(error))
                    continue
                if not any(np.allclose(got, answer, atol=1e-6) for answer in answers):
                    wrong.append(got)
                count += 1
        counts.append(count)

    with DevelopmentServer(tmp_path / "m", port=0, poll_seconds=0.05) as server:
        threads = [threading.Thread(target=ask, args=(server.address,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number, model in enumerate(models[1:], start=2):
                export(model, tmp_path / "m", warmup=rows)
                end = time.monotonic() + 20
                while server.version != number and time.monotonic() < end:
                    time.sleep(0.01)
                assert server.version == number
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with Client(server.address, "m") as client:
            np.testing.assert_allclose(client.predict(rows)["click"], answers[-1], atol=1e-6)
    assert wrong == []
    assert sum(counts) > 50


def test_a_broken_version_is_passed_over(tmp_path):
    rows = stand_in.small_rows(2)
    export(stand_in.make_small(), tmp_path / "m")
    broken = tmp_path / "m" / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with DevelopmentServer(tmp_path / "m", port=0) as server:
        assert server.version == 1
        assert list(server.failed) == [2]
        with Client(server.address, "m") as client:
            assert client.predict(rows)["click"].shape == (2,)
