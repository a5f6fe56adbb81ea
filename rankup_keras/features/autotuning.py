"""Datasets without tf.data's autotuner."""

from typing import Any

import tensorflow as tf


def without_autotuner(dataset: tf.data.Dataset) -> Any:
    """Turns tf.data's autotuner off, unless the dataset says whether it wants it.

    The end of an iterator waits for the autotuner's thread, which sleeps for 10 ms, then 20, 40 and
    so on (TensorFlow 2.21): under load an epoch is rounded up to the next of 0.3, 0.6, 1.3, 2.6,
    5.1 s ..., up to twice its time. What it would tune here is one map and one prefetch.
    """
    if dataset.options().autotune.enabled is not None:
        return dataset
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
