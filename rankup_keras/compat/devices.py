"""How much memory TensorFlow has on a GPU."""

from tensorflow.python.client import device_lib
from tensorflow.python.eager import context


def gpu_memory() -> int | None:
    """Bytes that TensorFlow may use on the smallest GPU; `None` without a GPU.

    `tf.config.experimental.get_memory_info` tells what is used, not what there is. Read in
    TensorFlow 2.21.0. It can go once a public function tells a device's memory.
    """
    # The list is made by making the devices. Without the program's own settings it would take all
    # memory of GPUs that are hidden or grow as asked for, and fail where the second one is the
    # first that is visible.
    devices = device_lib.list_local_devices(context.context().config)
    return min((d.memory_limit for d in devices if d.device_type == "GPU"), default=None)
