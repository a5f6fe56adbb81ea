"""RankMixer's multi-head token mixing."""

from collections.abc import Sequence
from typing import Any

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide


@serializable
class TokenMixing(ConfiguredLayer):
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

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor (batch, H, T D / H).

    Raises:
        ValueError: H does not divide D.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.arange(8.0).reshape(1, 2, 4)    # token 1: 0 1 2 3, token 2: 4 5 6 7
    print(rk.layers.TokenMixing()(tokens))      # token 1: 0 1 4 5, token 2: 2 3 6 7
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.3.1 (multi-head token mixing).
    """

    # No token by itself; without weights, each row by itself.
    token_wise = False

    def __init__(self, num_heads: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_heads is not None and num_heads < 1:
            raise ValueError(f"`num_heads` must be positive. Received: num_heads={num_heads}.")
        self.num_heads = num_heads

    def _sizes(self, shape: Sequence[int | None]) -> tuple[int, int, int]:
        _, tokens, width = shape
        if tokens is None or width is None:
            raise ValueError(
                "Token mixing needs to know the number of tokens and their width. "
                f"Received: shape={tuple(shape)}."
            )
        heads = self.num_heads or tokens
        # Where none is given, as many heads as tokens.
        must_divide("num_heads", heads, width)
        return tokens, heads, width

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._sizes(input_shape)
        self.built = True

    def call(self, x: Any) -> Any:
        _, heads, _ = self._sizes(x.shape)
        return kernels.mix_tokens(x, heads)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        tokens, heads, width = self._sizes(input_shape)
        return (input_shape[0], heads, tokens * width // heads)
