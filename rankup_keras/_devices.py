"""What this process computes on."""

import functools

import tensorflow as tf


@functools.cache
def has_accelerator() -> bool:
    """Whether TensorFlow sees more than CPUs."""
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())
