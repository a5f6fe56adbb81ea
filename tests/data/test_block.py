"""Rows as arrays."""

import numpy as np

from rankup_keras.data.block import Block


def test_blocks_are_cut_taken_from_and_joined():
    block = Block({"ids": np.arange(8).reshape(4, 2), "floats": np.arange(4.0)})
    assert block.num_rows == 4
    assert block.slice(3).arrays["floats"].tolist() == [3.0]
    assert block.slice(1, 2).arrays["ids"].tolist() == [[2, 3], [4, 5]]
    assert block.take(np.array([3, 0])).arrays["floats"].tolist() == [3.0, 0.0]
    whole = Block.concat([block.slice(2), block.slice(0, 1)])
    assert whole.arrays["ids"].tolist() == [[4, 5], [6, 7], [0, 1]]
    assert Block.concat([block]) is block
