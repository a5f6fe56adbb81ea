"""`Epochs`: which pass over a dataset an iterator is."""

import tensorflow as tf


class Epochs:
    """Numbers the iterators of a dataset, from `first`, in the order in which they are made.

    A counter in a generator would number those that are read from, but a resumed training makes
    the iterators of past epochs and reads none of them. TensorFlow draws a random number where an
    iterator is made; the same draws, repeated, tell which number belongs to which pass.
    """

    def __init__(self, first: int = 0) -> None:
        self.draws = _draws()
        self._again = _draws()
        self._numbers: dict[int, int] = {}
        self._first = first

    def number(self, draw: int) -> int:
        """The number of the pass in which `draws` gave `draw`."""
        while draw not in self._numbers:
            number = self._first + len(self._numbers)
            for again in self._again.as_numpy_iterator():
                self._numbers[int(again)] = number
        return self._numbers[draw]


def _draws() -> tf.data.Dataset:
    return tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True).take(1)
