"""RankMixer's tokenizer: equal slices of the concatenated embeddings."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class SliceTokenizer(ConfiguredLayer):
    """Cuts the concatenated embeddings into equal slices and projects each to a token.

    `x_t = concat(e)[t w : (t + 1) w] W_t + b_t`, `w` the width of a slice. The
    last slice is filled with zeros where the width does not divide. A slice
    may begin in the middle of a field, as published; `PermutationTokenizer`
    keeps fields whole.

    Args:
        num_tokens: int. Number of tokens T.
        token_dim: int. Width D of a token.
        shared: bool. Whether all slices share one projection, as in
            RankElastor's code. Defaults to `False`, one per slice.
        kernel_initializer: initializer of one token's projection.
        kernel_regularizer: regularizer of the projections. Defaults to none.

    Call arguments:
        x: float tensor (batch, width).

    Returns:
        Tensor (batch, num_tokens, token_dim).

    Raises:
        ValueError: more tokens than the input is wide.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    embeddings = np.random.normal(size=(2, 6 * 8)).astype("float32")
    print(rk.layers.SliceTokenizer(num_tokens=4, token_dim=16)(embeddings).shape)   # (2, 4, 16)
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.2 (feature tokenization).
    """

    def __init__(
        self,
        num_tokens: int,
        token_dim: int,
        shared: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens < 1 or token_dim < 1:
            raise ValueError(
                "`num_tokens` and `token_dim` must be positive. "
                f"Received: num_tokens={num_tokens}, token_dim={token_dim}."
            )
        self.num_tokens = num_tokens
        self.token_dim = token_dim
        self.shared = shared
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        width = input_shape[-1]
        if width is None or width < self.num_tokens:
            raise ValueError(
                f"`num_tokens` must not exceed the width of the input, of which every token takes "
                f"a slice. Received: num_tokens={self.num_tokens}, shape={tuple(input_shape)}."
            )
        self._slice = -(-width // self.num_tokens)
        self._padding = self._slice * self.num_tokens - width
        settings = {
            "kernel_initializer": self.kernel_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "name": "projection",
            "dtype": self.dtype_policy,
        }
        if self.shared:
            self.projection = keras.layers.Dense(self.token_dim, **settings)
        else:
            starts = range(0, self._slice * self.num_tokens, self._slice)
            fan_in = [max(1, min(self._slice, width - start)) for start in starts]
            self.projection = PerTokenDense(self.token_dim, fan_in=fan_in, **settings)
        self.projection.build((None, self.num_tokens, self._slice))
        self.built = True

    def call(self, x: Any) -> Any:
        if self._padding:
            x = ops.pad(x, [[0, 0], [0, self._padding]])
        return self.projection(ops.reshape(x, (-1, self.num_tokens, self._slice)))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], self.num_tokens, self.token_dim)
