"""TokenMixer-Large's mixing: mix, transform the mixed tokens, and revert."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.residual import Residual, inner_config
from rankup_keras.layers.mixers.token_mixing import TokenMixing

RESIDUALS = ("aligned", "input")
NORMED = ("tokens", "mixed")


@serializable
class MixAndRevert(keras.layers.Layer):
    """Mixes tokens, lets a network work on the mixed ones, and puts them back.

    Mixing gives H tokens of width T D / H, `ffn` works on each of them, and
    mixing with T heads gives T tokens of width D again: entry (t, d) of the
    output belongs to entry (t, d) of the input, so that a residual connection
    adds entries of one meaning, and H may be any divisor of D.

    - `norm_on="tokens"`: `y = Mix_T(FFN(Mix_H(x)))`; a block makes
      `x + y` of it, with its norm before the mixing;
    - `norm_on="mixed"`: `H = Mix_H(x)`, `y = Mix_T(H + FFN(Norm(H)))`; a block
      adds nothing to it.

    `residual` says what a block of this mixing (`MixerBlock`, `RankMixer`,
    `RankUp`) adds its second network to: `"aligned"`, `y' + FFN2(Norm(y'))` with
    the first network's result `y'`; `"input"`, `x + FFN2(Norm(y'))`. The paper's
    block is `norm_on="mixed"` (readers' equations; its figure has the norm on
    tokens) with `residual="input"`; models call it `"tokenmixer_large"`.

    Args:
        ffn: the layer for mixed tokens, such as `PerTokenSwiGLU`; it keeps the
            shape of its input.
        num_heads: int or `None`. H. `None` (default) for the number of tokens.
        residual: `"aligned"` (default) or `"input"`.
        norm_on: `"tokens"` (default) or `"mixed"`.
        norm: the norm on mixed tokens, as in `Residual`. Defaults to
            `"rms_norm"`.
        placement: where that norm is, `"pre"` (default) or `"post"`.
        dropout: float. Dropout rate on FFN, with `norm_on="mixed"`. Defaults to 0.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: H does not divide D, or an argument is not one of its choices.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    mixing = rk.layers.MixAndRevert(
        rk.layers.PerTokenSwiGLU(down_scale=0.01), 8, residual="input", norm_on="mixed"
    )
    block = rk.layers.MixerBlock(rk.layers.PerTokenSwiGLU(), mixing, norm="rms_norm")
    print(block(tokens).shape)                  # (2, 4, 16)
    ```

    References:
        - TokenMixer-Large, arXiv 2602.06563, equations 9 to 16.
    """

    def __init__(
        self,
        ffn: keras.layers.Layer,
        num_heads: int | None = None,
        residual: str = "aligned",
        norm_on: str = "tokens",
        norm: str | None = "rms_norm",
        placement: str = "pre",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        choices = (("residual", residual, RESIDUALS), ("norm_on", norm_on, NORMED))
        for argument, value, known in choices:
            if value not in known:
                raise ValueError(f"`{argument}` must be one of {known}. Received: {value!r}.")
        self.ffn = ffn
        self.num_heads = num_heads
        self.residual = residual
        self.norm_on = norm_on
        self.norm = norm
        self.placement = placement
        self.dropout = dropout
        self.mixing = TokenMixing(num_heads, dtype=self.dtype_policy)
        self.network = ffn
        if self.adds_input:
            self.network = Residual(
                ffn, placement, norm, dropout=dropout, name="mixed", dtype=self.dtype_policy
            )

    @property
    def adds_input(self) -> bool:
        """Whether the output holds the input, so that a block does not add it."""
        return self.norm_on == "mixed"

    @property
    def skips_to_input(self) -> bool:
        """Whether a block's second residual connection starts at its input."""
        return self.residual == "input"

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.mixing.build(input_shape)
        mixed = self.mixing.compute_output_shape(input_shape)
        self.reverting = TokenMixing(int(input_shape[1] or 0), dtype=self.dtype_policy)
        self.reverting.build(mixed)
        if not self.network.built:
            self.network.build(mixed)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.reverting(self.network(self.mixing(x)))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        names = ("num_heads", "residual", "norm_on", "norm", "placement", "dropout")
        config.update({name: getattr(self, name) for name in names}, ffn=inner_config(self.ffn))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MixAndRevert":
        config = dict(config)
        config["ffn"] = keras.saving.deserialize_keras_object(config["ffn"])
        return cls(**config)
