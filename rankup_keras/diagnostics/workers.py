"""Which process writes, and how several agree on a number."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def is_chief(strategy: Any) -> bool:
    """Whether this process writes files and warns: the only one, or the first of several."""
    if not _several_processes(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == "chief" or (
        resolver.task_type in ("worker", None)
        and not resolver.task_id
        and "chief" not in resolver.cluster_spec().jobs
    )


def agreed(strategy: Any, numbers: Mapping[str, float]) -> dict[str, float]:
    """The mean over processes of each number, so that all of them stop at the same moment.

    Every process must call it, with the same keys. Callbacks such as
    `EarlyStopping` run in each process; if they saw different numbers, one
    would stop and the others would wait for it for ever.
    """
    if not _several_processes(strategy):
        return dict(numbers)
    keys = sorted(numbers)
    local = tf.constant([numbers[key] for key in keys], tf.float32)
    spread = strategy.experimental_distribute_values_from_function(lambda context: local)
    means = strategy.reduce(tf.distribute.ReduceOp.MEAN, spread, axis=None).numpy()
    return {key: float(mean) for key, mean in zip(keys, means, strict=True)}


def _several_processes(strategy: Any) -> bool:
    return bool(getattr(strategy.extended, "_in_multi_worker_mode", lambda: False)())
