"""The memory of GPUs."""

import tensorflow as tf
from tensorflow.core.framework import device_attributes_pb2

from rankup_keras.compat import devices
from rankup_keras.compat.devices import gpu_memory


def test_a_gpu_that_the_program_hides_is_not_asked(monkeypatch):
    """Whoever asks makes the devices, and so takes the memory of all that are not hidden."""
    gpu = device_attributes_pb2.DeviceAttributes(device_type="GPU", memory_limit=7)

    def made(config=None):
        return [] if config is not None and not config.device_count["GPU"] else [gpu]

    monkeypatch.setattr(devices.device_lib, "list_local_devices", made)
    assert gpu_memory() == (7 if tf.config.get_visible_devices("GPU") else None)


def test_the_memory_of_a_gpu_is_known():
    memory = gpu_memory()
    assert (memory is None) == (not tf.config.list_physical_devices("GPU"))
    assert memory is None or memory > 2**30
    # It tells how much is used; a limit would make `gpu_memory` unnecessary.
    assert not hasattr(tf.config.experimental, "get_memory_limit")
