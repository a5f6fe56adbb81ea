"""Tables that a GPU's memory does not hold lie in the host's."""

import contextlib
import logging
from collections.abc import Iterator

import tensorflow as tf

from rankup_keras.compat.devices import gpu_memory
from rankup_keras.kernels.program import has_accelerator

# Of a GPU's memory, for tables with two slots each; the rest is for the dense part.
SHARE = 0.6

IN_HOST = "They lie in host memory, and their rows are copied at every step."
IN_GPUS = (
    "Under a strategy each replica's GPU holds all tables: without one they would lie in host "
    "memory."
)


@contextlib.contextmanager
def near_enough(layer: str, size: int) -> Iterator[None]:
    """Where variables of tables are made: on the GPU, or on the host if they do not fit there.

    Args:
        layer: name of the layer, for the message.
        size: bytes of its tables, without slots.
    """
    memory = gpu_memory() if has_accelerator() else None
    if memory is None or 3 * size <= SHARE * memory:
        yield
        return
    replicated = tf.distribute.has_strategy()
    logging.getLogger(__name__).warning(
        "The tables of layer '%s' need %.1f GiB with two slots, and a GPU has %.1f. %s",
        layer,
        3 * size / 2**30,
        memory / 2**30,
        IN_GPUS if replicated else IN_HOST,
    )
    if replicated:
        yield
        return
    # A layer built in a graph makes its variables outside of it, where its devices do not count.
    with tf.init_scope(), tf.device("/cpu:0"):
        yield
