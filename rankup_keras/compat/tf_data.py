"""The batches of a dataset, and what becomes of a dataset that a strategy distributes."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

_TOLD = "rankup_keras_batches"
_MAKE: contextvars.ContextVar[Callable[..., Any] | None] = contextvars.ContextVar(
    "make", default=None
)


class Batches(NamedTuple):
    """Rows in a full batch, where known, and among how many workers rows are shared already."""

    size: int | None
    shards: int = 1


def tell_batches(dataset: Any, size: int, shards: int) -> Any:
    """Notes on a dataset what `batches_of` cannot find out where a generator makes the batches."""
    setattr(dataset, _TOLD, Batches(size, shards))
    return dataset


def batches_of(dataset: Any) -> Batches:
    """The batches of a dataset, of size `None` where it does not tell.

    The public `element_spec` knows it with `drop_remainder` only, and what TensorFlow asks itself
    ends at the first `map`; so the datasets are walked back to the one that makes the batches.
    (Keras cuts arrays into batches in a function of its own, which shows nothing here.) Read in
    TensorFlow 2.21.0. It can go once a dataset tells its batch size.
    """
    found: int | None = None
    decided = False
    while isinstance(dataset, tf.data.Dataset):
        told = getattr(dataset, _TOLD, None)
        if told is not None:
            return told._replace(size=found) if decided else told
        size = getattr(dataset, "_batch_size", None)
        if size is not None and not decided:
            static = tf.get_static_value(size)
            found, decided = None if static is None else int(static), True
        # What changes the rows of an element hides the size of a batch before it.
        if any(word in type(dataset).__name__ for word in ("Unbatch", "FlatMap", "Interleave")):
            decided = True
        inputs = dataset._inputs()
        if len(inputs) != 1:
            break
        dataset = inputs[0]
    return Batches(found)


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


@contextlib.contextmanager
def distributed_by(strategy: Any, make: Callable[[Callable[..., Any], Any], Any]) -> Iterator[None]:
    """Within it what a strategy makes of a dataset is `make(distribute, dataset)`.

    So `fit`, `evaluate` and `predict` of Keras read batches in another way, whatever they are
    given: each hands a dataset to the strategy, also where there is none, and has no hook. Of that
    one TensorFlow has an object for the whole process; so other threads go on as before. Read in
    Keras 3.15.1. It can go once Keras takes an iterator of batches.
    """
    if not hasattr(strategy, "_rankup_keras_made"):
        distribute = strategy.experimental_distribute_dataset

        def distributed(dataset: Any, options: Any = None) -> Any:
            asked = _MAKE.get()
            return asked(distribute, dataset) if asked else distribute(dataset, options)

        strategy.experimental_distribute_dataset = distributed
        strategy._rankup_keras_made = True
    token = _MAKE.set(make)
    try:
        yield
    finally:
        _MAKE.reset(token)
