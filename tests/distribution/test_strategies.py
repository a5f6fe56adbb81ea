import json
import pathlib

import pytest
import tensorflow as tf

from rankup_keras import distribution
from rankup_keras.distribution.sharding import check_divisible, global_batch_size
from rankup_keras.distribution.tf_config import read_cluster
from tests.helpers.workers import free_addresses, start

TWO = {"worker": ["127.0.0.1:2222", "127.0.0.1:2223"]}
WORKER = {"type": "worker", "index": 0}


def set_config(monkeypatch, cluster, task):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


def test_cpu_and_auto_without_anything_else_run_on_one_device(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert distribution.strategy("cpu").num_replicas_in_sync == 1
    if not tf.config.list_physical_devices("GPU"):
        made = distribution.strategy()
        assert isinstance(made, tf.distribute.OneDeviceStrategy)
        assert "CPU" in made.extended.worker_devices[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mirror"}, "'mirror'"),
        ({"name": "cpu", "devices": ["cpu:0"]}, "mirrored"),
        ({"name": "mirrored", "devices": ["gpu:77"]}, "gpu:77"),
        ({"name": "mirrored", "devices": []}, "cpu:0"),
        ({"name": "cpu", "tpu": "mine"}, "name='cpu'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        distribution.strategy(**arguments)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("TPU")), reason="has a TPU")
def test_no_tpu_is_one_sentence(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(RuntimeError, match=r"No TPU was found at tpu='local'.*tpu_check"):
        distribution.strategy("tpu")


def test_multi_worker_needs_a_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        distribution.strategy("multi_worker")


@pytest.mark.parametrize(
    ("cluster", "task", "message"),
    [
        (["127.0.0.1:1"], WORKER, "`cluster` that is no object"),
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
    with pytest.raises(ValueError, match="is no JSON"):
        distribution.strategy("multi_worker")


def test_chief_comes_first(monkeypatch):
    set_config(monkeypatch, {"chief": ["c:1"], "worker": ["w:1"]}, {"type": "worker", "index": 0})
    cluster = read_cluster()
    assert cluster.addresses == ("c:1", "w:1")
    assert cluster.task == "worker 0"


def test_batches_that_replicas_cannot_share():
    check_divisible(None, 3)
    check_divisible(12, 3)
    with pytest.raises(ValueError, match=r"batch_size=1024\. The nearest that are: \[1023, 1026\]"):
        check_divisible(1024, 3)
    with pytest.raises(ValueError, match=r"nearest that are: \[8\]"):
        check_divisible(5, 8)
    rows = tf.data.Dataset.range(10)
    assert global_batch_size(rows.batch(4).map(lambda x: x + 1).prefetch(2)) == 4
    assert global_batch_size(rows) is None
    assert global_batch_size(rows.batch(4).unbatch()) is None
    assert global_batch_size(tf.data.Dataset.zip((rows.batch(4), rows.batch(4)))) is None


@pytest.mark.processes
def test_worker_that_waits_says_for_whom():
    addresses = free_addresses(2)
    program = "from rankup_keras import distribution; distribution.strategy('multi_worker')"
    process = start(
        ["-c", program],
        TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": WORKER}),
        PYTHONPATH=str(pathlib.Path(__file__).parents[2]),
    )
    try:
        notice = next(line for line in process.stderr if "waits until" in line)
    finally:
        process.kill()
        process.communicate()
    assert "worker 0 waits until all of the workers" in notice
    assert addresses[1] in notice
