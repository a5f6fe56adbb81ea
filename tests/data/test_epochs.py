"""Which pass over a dataset an iterator is."""

import tensorflow as tf

from rankup_keras.data.epochs import Epochs


def test_passes_are_numbered_in_the_order_in_which_iterators_are_made():
    epochs = Epochs(first=3)
    dataset = epochs.draws.map(lambda draw: draw)
    unread, second, third = iter(dataset), iter(dataset), iter(dataset)
    assert epochs.number(int(next(third))) == 5
    assert epochs.number(int(next(second))) == 4
    assert epochs.number(int(next(iter(dataset)))) == 6
    assert epochs.number(int(next(unread))) == 3
    assert isinstance(epochs.draws, tf.data.Dataset)
