"""Batches that replicas can and cannot share."""

import pytest
import tensorflow as tf

from rankup_keras.distribution.sharding import check_divisible, with_even_batches


def test_batches_that_replicas_cannot_share():
    check_divisible(None, 3)
    check_divisible(12, 3)
    with pytest.raises(ValueError, match=r"batch_size=1024\. The nearest that are: \[1023, 1026\]"):
        check_divisible(1024, 3)
    with pytest.raises(ValueError, match=r"nearest that are: \[8\]"):
        check_divisible(5, 8)


def test_a_strategy_refuses_uneven_batches():
    strategy = with_even_batches(tf.distribute.MirroredStrategy(["cpu:0"]))
    strategy.experimental_distribute_dataset(tf.data.Dataset.range(3).batch(2))
