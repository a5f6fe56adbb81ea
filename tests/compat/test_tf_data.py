"""A dataset still does not tell its batch size, and `fit` takes what replicas cannot share."""

import contextvars
import threading

import pytest
import tensorflow as tf

from rankup_keras.compat.tf_data import (
    batches_of,
    check_distributed,
    distributed_by,
    tell_batches,
)


def test_batch_sizes_are_found_behind_what_comes_after():
    rows = tf.data.Dataset.range(10)
    assert batches_of(rows.batch(4).map(lambda x: x + 1).prefetch(2)).size == 4
    assert batches_of(rows).size is None
    assert batches_of(rows.batch(4).unbatch()).size is None
    assert batches_of(tf.data.Dataset.zip((rows.batch(4), rows.batch(4)))).size is None


def test_what_a_generator_makes_is_told():
    told = tell_batches(tf.data.Dataset.range(10), 4, 2)
    assert batches_of(told.map(lambda x: x).prefetch(1)) == (4, 2)
    assert batches_of(told.batch(3)) == (3, 2)
    assert batches_of(told.batch(3).unbatch()) == (None, 2)


def test_no_public_attribute_tells():
    batched = tf.data.Dataset.range(10).batch(4).map(lambda x: x)
    assert batched.element_spec.shape[0] is None
    assert not [name for name in dir(batched) if "batch_size" in name and name[0] != "_"]


def test_every_distributed_dataset_is_checked():
    def refuse(dataset):
        raise ValueError("refused")

    strategy = tf.distribute.MirroredStrategy(["cpu:0"])
    rows = tf.data.Dataset.range(3).batch(2)
    assert [x.numpy().tolist() for x in strategy.experimental_distribute_dataset(rows)] == [
        [0, 1],
        [2],
    ]
    check_distributed(strategy, refuse)
    with pytest.raises(ValueError, match="refused"):
        strategy.experimental_distribute_dataset(rows)


def test_data_are_read_in_another_way_by_who_asks_for_it():
    rows, found = tf.data.Dataset.range(3).batch(2), []
    for strategy in (tf.distribute.MirroredStrategy(["cpu:0"]), tf.distribute.get_strategy()):
        plain = type(strategy.experimental_distribute_dataset(rows))

        def distribute(strategy=strategy):
            found.append(strategy.experimental_distribute_dataset(rows))

        with distributed_by(strategy, lambda make, data: ("made", make(data))):
            distribute()
            other = threading.Thread(target=contextvars.Context().run, args=(distribute,))
            other.start()
            other.join()
        distribute()
        (word, made), *others = found[-3:]
        assert word == "made"
        assert [type(data) for data in (made, *others)] == [plain] * 3
