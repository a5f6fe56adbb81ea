"""One block: token mixing, then a per-token feed-forward network."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.residual import Residual, inner_config
from rankup_keras.layers.mixers.token_mixing import TokenMixing


@serializable
class MixerBlock(keras.layers.Layer):
    """A residual mixer followed by a residual feed-forward network.

    - pre-norm (RankUp): `H' = Mix(LN(H)) + H`, `H'' = FFN(LN(H')) + H'`
    - post-norm (RankMixer): `S = LN(Mix(X) + X)`, `X' = LN(FFN(S) + S)`

    A mixing may ask for other residual connections, see `MixAndRevert`.

    A Functional model may call `block.chain` instead of the block, so that
    mixer and network are layers of its graph; the models of this package do,
    for `EffectiveRank` to watch each.

    Args:
        ffn: the feed-forward layer, such as `PerTokenFFN` or `PerTokenSwiGLU`.
        mixing: the mixing layer. Defaults to `TokenMixing()`.
        placement: `"pre"` (default) or `"post"`.
        norm: `"layer_norm"` (default), `"rms_norm"` or `None`.
        epsilon: float added to the variance. Defaults to 1e-6.
        dropout: float. Dropout rate on both outputs. Defaults to 0.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: T does not divide D (with `TokenMixing`).

    Example:

    ```python
    import keras
    import rankup_keras as rk

    x = tokens = keras.Input((4, 16))
    for _ in range(3):
        x = rk.layers.MixerBlock(rk.layers.PerTokenSwiGLU())(x)
    model = keras.Model(tokens, x)
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.3; RankUp, arXiv 2604.17878.
    """

    def __init__(
        self,
        ffn: keras.layers.Layer,
        mixing: keras.layers.Layer | None = None,
        placement: str = "pre",
        norm: str | None = "layer_norm",
        epsilon: float = 1e-6,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        mixing = TokenMixing(dtype=self.dtype_policy) if mixing is None else mixing
        settings: dict[str, Any] = {
            "placement": placement,
            "norm": norm,
            "epsilon": epsilon,
            "dropout": dropout,
        }
        self._settings = settings
        dtype = self.dtype_policy
        self.mixing: Any = mixing
        # The name by which the mixer is found in a model's graph.
        name = f"{self.name}_mixer"
        if getattr(mixing, "adds_input", False):
            self.mixer = self.mixing
            self.mixer.name = name
        else:
            self.mixer = Residual(mixing, name=name, dtype=dtype, **settings)
        self.ffn = Residual(ffn, name=f"{self.name}_ffn", dtype=dtype, **settings)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if not self.mixer.built:
            self.mixer.build(input_shape)
        self.ffn.build(input_shape)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.chain(x)

    def chain(self, x: Any) -> Any:
        """The mixer and then the network, each called as a layer of its own."""
        if getattr(self.mixing, "skips_to_input", False):
            return self.ffn(self.mixer(x), x)
        return self.ffn(self.mixer(x))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            ffn=inner_config(self.ffn.layer),
            mixing=inner_config(self.mixing),
            **self._settings,
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MixerBlock":
        config = dict(config)
        for part in ("ffn", "mixing"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)
