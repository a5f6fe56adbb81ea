"""A layer computed tile by tile on a TPU, so that what it makes in between stays in fast memory.

A per-token network makes a hidden layer several times as wide as a token. XLA computes a product
of all tokens and rows at once, and the hidden layer goes through the chip's main memory, as does
every step of a norm and of its gradient. In a loop over tiles of some rows, what a tile needs in
between is small enough for the compiler to place it in the chip's fast memory (VMEM): main memory
is read for a tile's input and written for its output.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# Ops of XLA that TensorFlow has no other name for.
from tensorflow.compiler.tf2xla.python import xla

# Entries of a tile's widest tensor: 16 MiB in bfloat16, of which a gradient needs several in the
# 128 MiB that a v5e and a v6e have.
ENTRIES = 2**23
# Rows lie along a vector register's 128 lanes.
MIN_ROWS = 128


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a layer can be computed in tiles.

    Attributes:
        function: `function(x, *weights)` for `x` (tokens, rows, D) and those
            tokens' weights; neither variables nor randomness.
        tokens: tokens of a tile: 1, or all of them.
        width: entries of the widest tensor in between, for one row of a tile.
        weights: variables, tokens being their first axis.
    """

    function: Callable[..., Any]
    tokens: int
    width: int
    weights: Sequence[Any] = ()


def tile_rows(batch: int | None, width: int) -> int | None:
    """Rows of a tile: a power of two that divides the batch; `None` where there is none."""
    if not batch:
        return None
    rows = MIN_ROWS
    while batch % (2 * rows) == 0 and 2 * rows * width <= ENTRIES:
        rows *= 2
    return None if batch % rows else rows


def in_tiles(
    function: Callable[..., Any],
    x: Any,
    tile: tuple[int, int],
    by_token: Sequence[Any] = (),
    shared: Sequence[Any] = (),
) -> Any:
    """`function(x, own, shared)` of every tile; the gradient computes the tile again.

    Args:
        function: from a tile (tokens, rows, D), these tokens' weights and the
            shared ones to a tile of the same shape.
        x: (T, batch, D), of a static shape.
        tile: tokens and rows of a tile, which divide T and the batch.
        by_token: weights whose first axis is T.
        shared: weights that all tokens use.
    """
    count = len(by_token)

    @tf.custom_gradient
    def apply(x: Any, *weights: Any) -> Any:
        loops = _Loops(function, x, weights[:count], weights[count:], tile)

        def gradient(upstream: Any) -> Any:
            dx, sums = loops.backward(upstream)
            return dx, *(tf.cast(d, w.dtype) for d, w in zip(sums, weights, strict=True))

        return loops.forward(), gradient

    return apply(x, *by_token, *shared)


class _Loops:
    """Over tokens, and within them over rows, so that weights are fetched once a token."""

    def __init__(
        self,
        function: Callable[..., Any],
        x: Any,
        by_token: Sequence[Any],
        shared: Sequence[Any],
        tile: tuple[int, int],
    ) -> None:
        self.function, self.x, self.by_token, self.shared = function, x, by_token, list(shared)
        self.tokens, self.rows = tile
        self.steps = (x.shape[0] // self.tokens, x.shape[1] // self.rows)
        # Sums over rows keep their digits.
        self.wide = tf.float64 if x.dtype == tf.float64 else tf.float32

    def forward(self) -> Any:
        def of_tokens(t: Any, y: Any) -> Any:
            own = [self._own(weight, t) for weight in self.by_token]

            def of_rows(j: Any, y: Any) -> Any:
                return self._put(y, self.function(self._tile(self.x, t, j), own, self.shared), t, j)

            return _loop(self.steps[1], of_rows, y)[0]

        return _loop(self.steps[0], of_tokens, tf.zeros_like(self.x))[0]

    def backward(self, upstream: Any) -> tuple[Any, Sequence[Any]]:
        count = len(self.by_token)

        def of_tokens(t: Any, dx: Any, *sums: Any) -> Any:
            used = [*(self._own(weight, t) for weight in self.by_token), *self.shared]

            def of_rows(j: Any, dx: Any, *sums: Any) -> Any:
                tile = self._tile(self.x, t, j)
                with tf.GradientTape() as tape:
                    tape.watch([tile, *used])
                    y = self.function(tile, used[:count], used[count:])
                # The gradient takes the place of what it came from, and needs no memory of its own.
                d_tile, *d_used = tape.gradient(y, [tile, *used], self._tile(dx, t, j))
                added = [s + tf.cast(d, self.wide) for s, d in zip(sums, d_used, strict=True)]
                return self._put(dx, d_tile, t, j), *added

            own = [tf.zeros(weight.shape, self.wide) for weight in used[:count]]
            dx, *added = _loop(self.steps[1], of_rows, dx, *own, *sums[count:])
            of_own = [
                _update(total, tf.cast(part, total.dtype), [t * self.tokens, *_zeros(part)])
                for total, part in zip(sums[:count], added[:count], strict=True)
            ]
            return dx, *of_own, *added[count:]

        start = [tf.zeros_like(weight) for weight in self.by_token]
        start += [tf.zeros(weight.shape, self.wide) for weight in self.shared]
        dx, *sums = _loop(self.steps[0], of_tokens, upstream, *start)
        return dx, sums

    def _tile(self, x: Any, t: Any, j: Any) -> Any:
        size = [self.tokens, self.rows, x.shape[2]]
        tile = tf.slice(x, tf.stack([t * self.tokens, j * self.rows, 0]), size)
        # Without the barrier each op that reads the tile reads main memory again. Two axes have
        # only two layouts: with three, mixing would have all of `x` copied into another one.
        flat = tf.reshape(tile, (self.tokens * self.rows, x.shape[2]))
        return tf.reshape(xla.optimization_barrier(flat)[0], size)

    def _put(self, x: Any, tile: Any, t: Any, j: Any) -> Any:
        return _update(x, tile, [t * self.tokens, j * self.rows, 0])

    def _own(self, weight: Any, t: Any) -> Any:
        begin = tf.stack([t * self.tokens, *_zeros(weight)])
        return tf.slice(weight, begin, [self.tokens, *weight.shape[1:]])


def _zeros(weight: Any) -> list[int]:
    return [0] * (len(weight.shape) - 1)


def _update(x: Any, part: Any, begin: Sequence[Any]) -> Any:
    return xla.dynamic_update_slice(x, part, tf.stack(begin))


def _loop(steps: int, body: Callable[..., Any], *state: Any) -> Sequence[Any]:
    """What `steps` calls of `body(index, *state)` make of the state."""

    def next_state(index: Any, *state: Any) -> Any:
        result = body(index, *state)
        return index + 1, *(result if isinstance(result, tuple | list) else [result])

    _, *state = tf.while_loop(lambda index, *_: index < steps, next_state, [tf.constant(0), *state])
    return state
