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
        x: float tensor (batch, T, D), or (T, batch, D) with a tokens-first `ffn`.
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: H does not divide D.

    References:
        - TokenMixer-Large, arXiv 2602.06563 (mixing and reverting).
    """

    def __init__(
        self, ffn: keras.layers.Layer, num_heads: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.ffn = ffn
        self.num_heads = num_heads
        self.mixing = TokenMixing(num_heads, self.tokens_first, dtype=self.dtype_policy)

    @property
    def tokens_first(self) -> bool:
        """Whether tokens are the first axis of this layer's tensors."""
        return bool(getattr(self.ffn, "tokens_first", False))

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.mixing.build(input_shape)
        mixed = self.mixing.compute_output_shape(input_shape)
        tokens = int(input_shape[0 if self.tokens_first else 1] or 0)
        self.reverting = TokenMixing(tokens, self.tokens_first, dtype=self.dtype_policy)
        self.reverting.build(mixed)
        if not self.ffn.built:
            self.ffn.build(mixed)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        mixed = self.mixing(x)
        mixed = self.ffn(mixed, training=training) if self._ffn_trains else self.ffn(mixed)
        return self.reverting(mixed)

    @property
    def _ffn_trains(self) -> bool:
        return bool(self.ffn._call_has_training_arg)

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
