"""RankMixer's multi-head token mixing."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.kernels.tiles import Tiling


@serializable
class TokenMixing(keras.layers.Layer):
    """Exchanges heads between tokens; no parameters.

    Every token is split into H heads of width D / H, and output token h is the
    concatenation of head h of every token:

    `out[h] = concat(x[1][h], ..., x[T][h])`

    With H = T the shape is kept, and the mixing is its own inverse. With
    H != T the output has H tokens of width T D / H, and mixing it again with
    T heads gives the input back ("mix and revert").

    Args:
        num_heads: int or `None`. Number of heads H. `None` (default) for the
            number of tokens.
        tokens_first: bool. Whether tokens are the first axis, `(T, B, D)`.
            Defaults to `False`, `(B, T, D)`.

    Call arguments:
        x: float tensor (batch, T, D), or (T, batch, D) with `tokens_first`.

    Returns:
        Tensor (batch, H, T D / H), or (H, batch, T D / H).

    Raises:
        ValueError: H does not divide D.

    References:
        - RankMixer, arXiv 2507.15551, section 3.3.1 (multi-head token mixing).
    """

    def __init__(
        self, num_heads: int | None = None, tokens_first: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_heads is not None and num_heads < 1:
            raise ValueError(f"`num_heads` must be positive. Received: num_heads={num_heads}.")
        self.num_heads = num_heads
        self.tokens_first = tokens_first

    def _sizes(self, shape: Sequence[int | None]) -> tuple[int, int, int]:
        tokens, width = shape[0 if self.tokens_first else 1], shape[2]
        if tokens is None or width is None:
            raise ValueError(
                "Token mixing needs to know the number of tokens and their width. "
                f"Received: shape={tuple(shape)}."
            )
        heads = self.num_heads or tokens
        if width % heads:
            divisors = [d for d in range(1, width + 1) if width % d == 0]
            nearest = sorted(sorted(divisors, key=lambda d: abs(d - heads))[:3])
            raise ValueError(
                "`num_heads` (the number of tokens, where none is given) must divide the token "
                f"width. Received: num_heads={heads}, token width {width}. "
                f"The nearest that do: {nearest}; or a width of {-(-width // heads) * heads}."
            )
        return tokens, heads, width // heads

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._sizes(input_shape)
        self.built = True

    def tiling(self, shape: Sequence[int | None]) -> Tiling:
        """Tiles of all tokens, whose heads go to all."""
        tokens, heads, head_dim = self._sizes(shape)
        return Tiling(self.call, tokens, tokens * heads * head_dim)

    def call(self, x: Any) -> Any:
        tokens, heads, head_dim = self._sizes(x.shape)
        if self.tokens_first:
            x = ops.reshape(x, (tokens, -1, heads, head_dim))
            return ops.reshape(ops.transpose(x, (2, 1, 0, 3)), (heads, -1, tokens * head_dim))
        x = ops.reshape(x, (-1, tokens, heads, head_dim))
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, heads, tokens * head_dim))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        tokens, heads, head_dim = self._sizes(input_shape)
        if self.tokens_first:
            return (heads, input_shape[1], tokens * head_dim)
        return (input_shape[0], heads, tokens * head_dim)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(num_heads=self.num_heads, tokens_first=self.tokens_first)
        return config
