"""Sees to it that replicas share every batch evenly."""

from typing import Any

import tensorflow as tf


def check_batches(strategy: tf.distribute.Strategy) -> tf.distribute.Strategy:
    """Makes a strategy refuse data whose batches its replicas cannot share evenly.

    TensorFlow would give some replicas more rows than others and count every
    replica's mean alike: the loss would no longer be the mean over the batch.

    Args:
        strategy: the strategy, changed in place.
    """
    distribute = strategy.experimental_distribute_dataset

    def checked(dataset: Any, options: Any = None) -> Any:
        check_divisible(global_batch_size(dataset), strategy.num_replicas_in_sync)
        return distribute(dataset, options)

    strategy.experimental_distribute_dataset = checked
    return strategy


def check_divisible(batch_size: int | None, replicas: int) -> None:
    """Raises where replicas cannot share a batch evenly; an unknown size passes."""
    if batch_size is None or batch_size % replicas == 0:
        return
    below = batch_size // replicas * replicas
    near = [size for size in (below, below + replicas) if size]
    raise ValueError(
        f"`batch_size` is the global one and must be divisible by the number of replicas, "
        f"{replicas}. Received: batch_size={batch_size}. The nearest that are: {near}."
    )


def global_batch_size(dataset: Any) -> int | None:
    """Rows in a full batch of a dataset, or `None` where it does not tell.

    TensorFlow's own answer ends at the first `map`, so the datasets are walked
    back to the one that makes the batches. (Keras cuts arrays into batches in
    a function of its own, which shows nothing here.)
    """
    while isinstance(dataset, tf.data.Dataset):
        size = getattr(dataset, "_batch_size", None)
        if size is not None:
            static = tf.get_static_value(size)
            return None if static is None else int(static)
        # What changes the rows of an element hides the size of a batch before it.
        if any(word in type(dataset).__name__ for word in ("Unbatch", "FlatMap", "Interleave")):
            return None
        inputs = dataset._inputs()
        if len(inputs) != 1:
            return None
        dataset = inputs[0]
    return None
