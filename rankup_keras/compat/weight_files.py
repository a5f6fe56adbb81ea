"""Keras's stores of weights, of which large variables are written without a copy in memory."""

from typing import Any

import numpy as np
import tensorflow as tf
from keras.src.saving.saving_lib import H5IOStore

BLOCK = 1 << 24  # bytes


def write_variable(store: Any, key: str, variable: Any) -> None:
    """`store[key] = variable`, block by block into an HDF5 file.

    Keras makes an array of a variable before it writes it, and TensorFlow copies a variable whose
    rows were updated in place when it is read: together two tables more. A store has no public
    method that takes a part. Read in Keras 3.15.1. It can go once one has.

    Args:
        store: what Keras gives to `save_own_variables`.
        key: name in the store.
        variable: Keras variable.
    """
    size = np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype).itemsize
    row = size * int(np.prod(variable.shape[1:]))
    whole = len(variable.shape) == 0 or row * variable.shape[0] <= BLOCK
    if whole or type(store) is not H5IOStore or tf.as_dtype(variable.dtype) == tf.bfloat16:
        store[key] = variable
        return
    if not store._h5_entry_initialized:
        store._create_h5_group(store._h5_entry_path)
    dtype = tf.as_dtype(variable.dtype).as_numpy_dtype
    written = store._h5_entry_group.create_dataset(key, tuple(variable.shape), dtype)
    step = max(1, BLOCK // row)
    for start in range(0, variable.shape[0], step):
        rows = np.arange(start, min(start + step, variable.shape[0]))
        # Gathers from the variable itself: reading its value would copy the table.
        written[start : start + len(rows)] = tf.gather(variable.value, rows).numpy()
