"""A layer computed tile by tile on a TPU, so that what it makes in between stays in fast memory.

A per-token network makes a hidden layer several times as wide as a token. XLA computes a product
of all tokens and rows at once, and the hidden layer goes through the chip's main memory, as does
every step of a norm and of its gradient. In a loop over tiles of some rows, what a tile needs in
between is small enough for the compiler to place it in the chip's fast memory (VMEM): main memory
is read for a tile's input and written for its output.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat import xla
from rankup_keras.kernels import fused, reference
from rankup_keras.kernels.layout import batch_first, tokens_first

# Entries of a tile's widest tensor: 16 MiB in bfloat16, of which a gradient needs several in the
# 128 MiB that a v5e and a v6e have.
ENTRIES = 2**23
# Rows lie along a vector register's 128 lanes.
MIN_ROWS = 128


def residual(
    x: Any,
    layer: keras.layers.Layer,
    before: keras.layers.Layer | None,
    after: keras.layers.Layer | None,
    dropout: keras.layers.Dropout,
) -> Any:
    """In tiles of one token, or for a layer without weights of all tokens."""
    tile = _tile_of(layer, dropout, x.shape)
    if tile is None:
        return reference.residual(x, layer, before, after, dropout)
    own = list(layer.variables)  # tokens are their first axis
    norm_weights = [variable for norm in (before, after) if norm for variable in norm.variables]
    by_token = [keras.ops.convert_to_tensor(variable) for variable in own]
    shared = [keras.ops.convert_to_tensor(variable) for variable in norm_weights]

    def on_tile(parts: Sequence[Callable[[Any], Any]]) -> Callable[..., Any]:
        def function(x: Any, own_values: Sequence[Any], shared_values: Sequence[Any]) -> Any:
            with keras.StatelessScope() as scope:
                # Not as the scope's `state_mapping`, which wants whole variables.
                for variable, value in zip(own, own_values, strict=False):
                    scope.add_update((variable, value))
                for variable, value in zip(norm_weights, shared_values, strict=False):
                    scope.add_update((variable, value))
                y = batch_first(x)
                for part in parts:
                    y = part(y)
                return tokens_first(y)

        return function

    def added(x: Any) -> Any:
        return x + _training(layer, x if before is None else _training(before, x))

    def normed(y: Any) -> Any:
        return y if after is None else _training(after, y)

    x = tokens_first(x)
    if own and after is not None:
        # By itself: with the layer in one tile, the norm's gradient would need its products again.
        y = in_tiles(on_tile([added]), x, tile, by_token)
        tile = (1, tile_rows(x.shape[1], x.shape[2]) or 0)
        return batch_first(in_tiles(on_tile([normed]), y, tile, (), shared))
    return batch_first(in_tiles(on_tile([added, normed]), x, tile, by_token, shared))


def _training(layer: Any, x: Any) -> Any:
    # The gradient's tiles are computed outside of any call that would hand `training` on.
    if "training" in inspect.signature(layer.call).parameters:
        return layer(x, training=True)
    return layer(x)


def _tile_of(layer: Any, dropout: Any, shape: Sequence[int | None]) -> tuple[int, int] | None:
    """Tokens and rows of a tile; `None` for layers and batches that are not computed so."""
    token_wise = getattr(layer, "token_wise", None)
    # A tile is computed again for the gradient, which dropout would change.
    if token_wise is None or dropout.rate or getattr(layer, "dropout", 0):
        return None
    if not fused.is_plain(getattr(layer, "activation", keras.activations.linear)):
        return None
    tokens, width = int(shape[1] or 0), int(shape[2] or 0)
    if token_wise:
        tokens, width = 1, max(variable.shape[-1] for variable in layer.variables)
    rows = tile_rows(shape[0], tokens * width)
    return None if rows is None else (tokens, rows)


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
    """Over tokens, and within them over rows, so that weights are fetched once per token."""

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
        return tf.reshape(xla.optimization_barrier(flat), size)

    def _put(self, x: Any, tile: Any, t: Any, j: Any) -> Any:
        return _update(x, tile, [t * self.tokens, j * self.rows, 0])

    def _own(self, weight: Any, t: Any) -> Any:
        begin = tf.stack([t * self.tokens, *_zeros(weight)])
        return tf.slice(weight, begin, [self.tokens, *weight.shape[1:]])


def _zeros(weight: Any) -> list[int]:
    return [0] * (len(weight.shape) - 1)


def _update(x: Any, part: Any, begin: Sequence[Any]) -> Any:
    return xla.dynamic_update_slice(x, part, begin)


def _loop(steps: int, body: Callable[..., Any], *state: Any) -> Sequence[Any]:
    """What `steps` calls of `body(index, *state)` make of the state."""

    def next_state(index: Any, *state: Any) -> Any:
        result = body(index, *state)
        return index + 1, *(result if isinstance(result, tuple | list) else [result])

    _, *state = tf.while_loop(lambda index, *_: index < steps, next_state, [tf.constant(0), *state])
    return state
