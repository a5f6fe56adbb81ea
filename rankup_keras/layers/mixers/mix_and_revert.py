"""TokenMixer-Large's mixing: mix, transform the mixed tokens, and revert."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.residual import inner_config
from rankup_keras.layers.mixers.token_mixing import TokenMixing


@serializable
class MixAndRevert(keras.layers.Layer):
    """Mixes tokens, lets a network work on the mixed ones, and puts them back.

    `y = Mix_T(FFN(Mix_H(x)))`: mixing gives H tokens of width T D / H, `ffn`
    works on each of them, and mixing with T heads gives T tokens of width D
    again. `X + Mix(X)` adds entries of different meaning at one index; here
    entry (t, d) of `y` belongs to entry (t, d) of `x`, so that the residual
    connection around this layer is one, and H need not be T: any H that
    divides D will do.

    Args:
        ffn: the layer for mixed tokens, such as `PerTokenSwiGLU`; it keeps the
            shape of its input.
        num_heads: int or `None`. H. `None` (default) for the number of tokens.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: H does not divide D.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    mixing = rk.layers.MixAndRevert(rk.layers.PerTokenSwiGLU(), num_heads=8)
    print(rk.layers.Residual(mixing)(tokens).shape)     # (2, 4, 16)
    ```

    References:
        - TokenMixer-Large, arXiv 2602.06563 (mixing and reverting).
    """

    def __init__(
        self, ffn: keras.layers.Layer, num_heads: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.ffn = ffn
        self.num_heads = num_heads
        self.mixing = TokenMixing(num_heads, dtype=self.dtype_policy)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.mixing.build(input_shape)
        mixed = self.mixing.compute_output_shape(input_shape)
        self.reverting = TokenMixing(int(input_shape[1] or 0), dtype=self.dtype_policy)
        self.reverting.build(mixed)
        if not self.ffn.built:
            self.ffn.build(mixed)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.reverting(self.ffn(self.mixing(x)))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(ffn=inner_config(self.ffn), num_heads=self.num_heads)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MixAndRevert":
        config = dict(config)
        config["ffn"] = keras.saving.deserialize_keras_object(config["ffn"])
        return cls(**config)
