"""The memory of GPUs."""

import tensorflow as tf

from rankup_keras.compat.devices import gpu_memory


def test_the_memory_of_a_gpu_is_known():
    memory = gpu_memory()
    assert (memory is None) == (not tf.config.list_physical_devices("GPU"))
    assert memory is None or memory > 2**30
    # It tells how much is used; a limit would make `gpu_memory` unnecessary.
    assert not hasattr(tf.config.experimental, "get_memory_limit")
