"""Strategies by name: what each name gives, and what is refused in one sentence."""

import json
import pathlib

import pytest
import tensorflow as tf

from rankup_keras import distribution
from rankup_keras.kernels.program import has_accelerator
from tests.helpers.workers import free_addresses, start

WORKER = {"type": "worker", "index": 0}


def test_cpu_and_auto_without_anything_else_run_on_one_device(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert distribution.strategy("cpu").num_replicas_in_sync == 1
    assert "CPU:0" in distribution.strategy("cpu").extended.worker_devices[0]
    if len(tf.config.get_visible_devices("GPU")) < 2:
        with distribution.strategy().scope():
            assert not tf.distribute.has_strategy()  # as fast as without, tables on the host too


def test_gpus_that_the_program_hides_are_not_waited_for(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    cpus = tf.config.get_visible_devices("CPU")
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: [d for d in [*cpus, *gpus] if kind in (None, d.device_type)],
    )
    monkeypatch.setattr(
        tf.config, "get_visible_devices", lambda kind=None: cpus if kind in (None, "CPU") else []
    )
    assert distribution.strategy("auto").num_replicas_in_sync == 1
    assert not has_accelerator()


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
