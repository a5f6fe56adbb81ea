"""Leaves out what is padding in every row of a batch."""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rankup_keras.kernels.program import on_host, program


def few_lengths(longest: int, smallest: int) -> list[int]:
    """Lengths that batches are cut to: powers of 2 and the middles between, up to the longest."""
    doubled = (2**n for n in itertools.count())
    lengths = itertools.chain.from_iterable((n, n + n // 2) for n in doubled)
    return [*itertools.takewhile(lambda n: n < longest, (n for n in lengths if n >= smallest)),
            longest]  # fmt: skip


def trim_padding(tensors: Sequence[Any], present: Any, smallest: int) -> list[Any]:
    """`x[:, :n]` of every tensor, n the first of `few_lengths` that has all that is present.

    Programs that XLA compiles as a whole know all shapes beforehand: there nothing is cut.

    Args:
        tensors: (batch, L, ...) each.
        present: (batch, L), or (batch, L, ...) of which the first value tells; 0 or `False` at
            padding, which is behind. On the host, or each batch waits for a GPU.
        smallest: the least n.
    """
    longest = present.shape[1]
    if longest is None or longest <= smallest or program() in ("xla", "xla-gpu", "tpu"):
        # Tensors of their own, as gradients of both are asked for.
        return [tf.identity(x) for x in tensors]
    lengths = few_lengths(longest, smallest)
    with on_host():
        while present.shape.rank > 2:
            present = present[..., 0]
        if present.dtype != tf.bool:
            present = tf.not_equal(present, tf.zeros((), present.dtype))
        places = tf.where(tf.reduce_any(present, axis=0), tf.range(1, longest + 1), 0)
        index = tf.searchsorted(lengths, tf.reduce_max(places, keepdims=True))[0]
        n = tf.gather(lengths, index)
    return [x[:, :n] for x in tensors]
