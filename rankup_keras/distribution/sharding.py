"""Sees to it that replicas share every batch evenly, and every row once."""

from typing import Any

import tensorflow as tf

from rankup_keras.compat.multi_worker import worker_count
from rankup_keras.compat.tf_data import batches_of, check_distributed


def with_even_batches(strategy: tf.distribute.Strategy) -> tf.distribute.Strategy:
    """Makes a strategy refuse data that its replicas cannot share evenly, and each row once.

    TensorFlow would give some replicas more rows than others and count the means
    of all replicas alike: the loss would no longer be the mean over the batch.
    Data that were shared among workers already would be shared once more, and rows lost.

    Args:
        strategy: the strategy, changed in place.
    """
    replicas, workers = strategy.num_replicas_in_sync, worker_count(strategy)

    def check(data: Any) -> None:
        size, shards = batches_of(data)
        check_divisible(size, replicas)
        if shards > 1 and workers > 1:
            raise ValueError(
                f"`shard` must be left out in `fit` under a strategy of {workers} workers, which "
                "shares every batch among them: each would keep a part of its own part only. "
                f"Received: data in {shards} shards."
            )

    check_distributed(strategy, check)
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
