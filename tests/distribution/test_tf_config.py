"""`TF_CONFIG`, right and wrong."""

import json

import pytest

from rankup_keras import distribution
from rankup_keras.distribution.tf_config import read_cluster

TWO = {"worker": ["127.0.0.1:2222", "127.0.0.1:2223"]}
WORKER = {"type": "worker", "index": 0}


def set_config(monkeypatch, cluster, task):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


@pytest.mark.parametrize(
    ("cluster", "task", "message"),
    [
        (["127.0.0.1:1"], WORKER, "`cluster` that is not an object"),
        ({"ps": ["a:1"], **TWO}, WORKER, "parameter servers"),
        ({"worker": ["no-port"]}, WORKER, "'host:port'"),
        ({"worker": ["a:99999"]}, WORKER, "'host:port'"),
        ({"worker": "a:1"}, WORKER, "'host:port'"),
        (TWO, None, "which process is this one"),
        (TWO, {"type": "worker"}, "which process is this one"),
        (TWO, {"type": "chief", "index": 0}, "'chief', but the cluster has"),
        (TWO, {"type": "worker", "index": 2}, "worker 2, but the cluster has 2"),
        (TWO, {"type": "worker", "index": "0"}, "worker '0'"),
        ({"worker": ["a:1", "a:1"]}, WORKER, "a:1 to two processes"),
        ({"worker": []}, WORKER, "must list the addresses of 'worker'"),
        ({"worker": ["a:١"]}, WORKER, "'host:port'"),
        ({"worker": ["a:" + "9" * 5000]}, WORKER, "'host:port'"),
        ({"wroker": ["a:1"]}, {"type": "wroker", "index": 0}, "names the job 'wroker'"),
        ({"evaluator": ["a:1"]}, {"type": "evaluator", "index": 0}, "evaluator"),
        ({"chief": ["a:1", "b:1"]}, {"type": "chief", "index": 0}, "more than one chief"),
        (TWO, {"type": ["worker"], "index": 0}, r"this is a \['worker'\]"),
    ],
)
def test_wrong_config_is_one_sentence(monkeypatch, cluster, task, message):
    set_config(monkeypatch, cluster, task)
    with pytest.raises(ValueError, match=message) as caught:
        distribution.strategy("auto")
    assert "Received: TF_CONFIG=" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_config_that_is_no_json(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{cluster}")
    with pytest.raises(ValueError, match="is not JSON"):
        distribution.strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", "[" * 100_000)
    with pytest.raises(ValueError, match="is not JSON"):
        distribution.strategy("multi_worker")


def test_chief_comes_first(monkeypatch):
    set_config(monkeypatch, {"chief": ["c:1"], "worker": ["w:1"]}, {"type": "worker", "index": 0})
    cluster = read_cluster()
    assert cluster.addresses == ("c:1", "w:1")
    assert cluster.task == "worker 0"
    assert cluster.place == 1
