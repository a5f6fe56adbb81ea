"""The batch size of a dataset, and a check of every dataset that a strategy distributes."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def batch_size_of(dataset: Any) -> int | None:
    """Rows in a full batch of a dataset, or `None` where it does not tell.

    The public `element_spec` knows it with `drop_remainder` only, and what TensorFlow asks itself
    ends at the first `map`; so the datasets are walked back to the one that makes the batches.
    (Keras cuts arrays into batches in a function of its own, which shows nothing here.) Read in
    TensorFlow 2.21.0. It can go once a dataset tells its batch size.
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


def check_distributed(strategy: Any, check: Callable[[Any], None]) -> None:
    """Makes a strategy call `check(dataset)` before it distributes a dataset.

    Keras's `fit` hands every dataset to the strategy and has no hook before that, so the method of
    this strategy is replaced. Read in Keras 3.15.1. It can go once `fit` refuses uneven batches.
    """
    distribute = strategy.experimental_distribute_dataset

    def checked(dataset: Any, options: Any = None) -> Any:
        check(dataset)
        return distribute(dataset, options)

    strategy.experimental_distribute_dataset = checked
