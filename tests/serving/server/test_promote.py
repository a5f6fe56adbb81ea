"""Labels of a running server, moved under traffic."""

import shutil
import threading
import time

import numpy as np
import pytest

from rankup_keras.serving import (
    Client,
    DevelopmentServer,
    ServerConfig,
    ServingError,
    export,
    promote,
)
from tests.serving import stand_in

ROWS = stand_in.small_rows(3)
MODELS = 3


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Three versions and a broken one, and what each answers."""
    base = tmp_path_factory.mktemp("labels") / "m"
    answers = {}
    for seed in range(MODELS):
        model = stand_in.make_small(seed)
        path = export(model, base, warmup=ROWS, batch_sizes=(3,), signatures=["serving_default"])
        answers[int(path.name)] = stand_in.predict(model, ROWS)["click"]
    shutil.copytree(base / "1", base / "4")
    (base / "4" / "saved_model.pb").write_bytes(b"nonsense")
    return base, answers


class Traffic:
    """Threads that ask for a label all the time, and the versions that answered."""

    def __init__(self, address, label, answers):
        self.address, self.label, self.answers = address, label, answers
        self.seen, self.wrong, self.count = [], [], 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(2)]

    def ask(self):
        with Client(self.address, "m", label=self.label, timeout=30, retries=0) as client:
            # A pause, so that the server of the same process gets to load versions.
            while not self.stopping.wait(0.005):
                try:
                    got = client.predict(ROWS)["click"]
                except ServingError as error:
                    self.wrong.append(str(error))
                    continue
                by = [v for v, want in self.answers.items() if np.allclose(got, want, atol=1e-6)]
                self.seen += [v for v in by if v not in self.seen[-1:]]
                self.count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def answered_by(server, answers, **asked):
    with Client(server.address, "m", timeout=30, **asked) as client:
        got = client.predict(ROWS)["click"]
    return next(v for v, want in answers.items() if np.allclose(got, want, atol=1e-6))


def test_a_canary_is_promoted_and_rolled_back_without_losing_a_request(versions, tmp_path):
    base, answers = versions
    labels = {"stable": 1, "canary": 2}
    place = ServerConfig(base, labels=labels).write(tmp_path)
    with DevelopmentServer(base, port=0, labels=labels, poll_seconds=0.05) as server:
        # A request without a label goes to the newest version that is served.
        assert answered_by(server, answers) == 2
        with Traffic(server.address, "stable", answers) as traffic:
            before = promote(place, {"stable": 2, "canary": 3}, server.address, timeout=60)
            assert before == labels
            assert answered_by(server, answers, label="stable") == 2
            assert answered_by(server, answers, label="canary") == 3
            # A version that does not load: an error, and all stays as it was.
            with pytest.raises(ServingError, match="version 4 does not load"):
                promote(place, {"canary": 4}, server.address, timeout=60)
            assert answered_by(server, answers, label="canary") == 3
            promote(place, before, server.address, timeout=60)
            assert answered_by(server, answers, label="stable") == 1
            promote(place, {"canary": None}, server.address, timeout=60)
        with pytest.raises(ServingError, match="canary"):
            answered_by(server, answers, label="canary")
    assert traffic.wrong == []
    assert traffic.count > 20
    assert set(traffic.seen) == {1, 2}
    # A restart serves the same.
    text = (place / "models.config").read_text()
    assert 'key: "stable"' in text
    assert "canary" not in text
    assert not list(place.glob(".models*"))


def test_from_the_newest_to_labels(versions, tmp_path):
    """What is served goes on until the labels are there."""
    base, answers = versions
    place = ServerConfig(base, name="m").write(tmp_path)
    with DevelopmentServer(base, port=0, poll_seconds=0.05) as server:
        assert promote(place, {"stable": 2}, [server.address], timeout=60) == {}
        assert answered_by(server, answers, label="stable") == 2
        # A version that is no longer wanted is dropped at the server's next look.
        deadline = time.monotonic() + 30
        while server.version != 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert answered_by(server, answers) == 2
        with pytest.raises(ValueError, match=r"`model` must be one of \['m'\]"):
            promote(place, {"stable": 2}, server.address, model="other")
        with pytest.raises(ServingError, match="Connection refused"):
            promote(place, {"stable": 1}, "127.0.0.1:1", timeout=1)
    with pytest.raises(FileNotFoundError):
        promote(tmp_path / "absent", {"stable": 2})
