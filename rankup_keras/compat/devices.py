"""How much memory TensorFlow has on a GPU."""

from tensorflow.python.client import device_lib


def gpu_memory() -> int | None:
    """Bytes that TensorFlow may use on the smallest GPU; `None` without a GPU.

    `tf.config.experimental.get_memory_info` tells what is used, not what there is. Read in
    TensorFlow 2.21.0. It can go once a public function tells a device's memory.
    """
    found = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    return min(found, default=None)
