"""Sees to it that replicas share every batch evenly."""

import tensorflow as tf

from rankup_keras.compat.tf_data import batch_size_of, check_distributed


def with_even_batches(strategy: tf.distribute.Strategy) -> tf.distribute.Strategy:
    """Makes a strategy refuse data whose batches its replicas cannot share evenly.

    TensorFlow would give some replicas more rows than others and count the means
    of all replicas alike: the loss would no longer be the mean over the batch.

    Args:
        strategy: the strategy, changed in place.
    """
    replicas = strategy.num_replicas_in_sync
    check_distributed(strategy, lambda data: check_divisible(batch_size_of(data), replicas))
    return strategy


def check_divisible(batch_size: int | None, replicas: int) -> None:
    """Raises where replicas cannot share a batch evenly; an unknown size passes."""
    if batch_size is None or batch_size % replicas == 0:
        return
    below = batch_size // replicas * replicas
    near = [size for size in (below, below + replicas) if size]
    raise ValueError(
        f"`batch_size` is the global batch size and must be divisible by the number of replicas, "
        f"{replicas}. Received: batch_size={batch_size}. The nearest that are: {near}."
    )
