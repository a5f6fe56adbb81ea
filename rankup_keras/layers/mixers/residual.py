"""A residual connection with its normalization."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from rankup_keras.layers.mixers.rms_norm import RMSNorm

NORMS = {"layer_norm": LayerNorm, "rms_norm": RMSNorm, None: None}
PLACEMENTS = ("pre", "post")


def make_norm(norm: str | None, epsilon: float, dtype: Any, name: str) -> keras.layers.Layer | None:
    """The normalization layer of a name, over the last axis; `None` for none."""
    if norm not in NORMS:
        raise ValueError(f"`norm` must be one of {tuple(NORMS)}. Received: norm={norm!r}.")
    layer = NORMS[norm]
    return layer and layer(epsilon=epsilon, dtype=dtype, name=name)


def inner_config(layer: keras.layers.Layer) -> dict[str, Any]:
    """Config of a layer inside another one, which builds it for the shapes that it gets itself."""
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config


@serializable
class Residual(keras.layers.Layer):
    """Adds a layer's output to its input, with normalization before or after.

    - `placement="pre"`: `y = x + layer(norm(x))` (RankUp)
    - `placement="post"`: `y = norm(x + layer(x))` (RankMixer)

    Where a `skip` is given, `layer`'s output is added to it in place of `x`.

    Args:
        layer: the layer inside, keeping the shape of its input.
        placement: `"pre"` or `"post"`. Defaults to `"pre"`.
        norm: `"layer_norm"` (default), `"rms_norm"` or `None`.
        epsilon: float added to the variance. Defaults to 1e-6.
        dropout: float. Dropout rate on the layer's output. Defaults to 0.

    Call arguments:
        x: float tensor (batch, T, D).
        skip: tensor of the same shape, or `None` (default) for `x` itself.
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: `layer` changes the shape of its input.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    mixer = rk.layers.Residual(rk.layers.TokenMixing(), placement="post")
    print(mixer(tokens).shape)                  # (2, 4, 16)
    ```

    References:
        - RankMixer, arXiv 2507.15551, equation of the block (post-norm).
        - RankUp, arXiv 2604.17878, block (pre-norm).
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        placement: str = "pre",
        norm: str | None = "layer_norm",
        epsilon: float = 1e-6,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if placement not in PLACEMENTS:
            raise ValueError(
                f"`placement` must be one of {PLACEMENTS}. Received: placement={placement!r}."
            )
        self.layer = layer
        self.placement = placement
        self.norm_kind = norm
        self.epsilon = epsilon
        self.dropout = dropout
        self.norm = make_norm(norm, epsilon, self.dtype_policy, "norm")
        self.output_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, x_shape: Sequence[int | None], skip_shape: Any = None) -> None:
        if self.norm is not None:
            self.norm.build(x_shape)
        if not self.layer.built:
            self.layer.build(x_shape)
        output = tuple(self.layer.compute_output_shape(x_shape))
        if output != tuple(x_shape):
            raise ValueError(
                f"`layer` must keep the shape of its input, which is added to its output. "
                f"Received {type(self.layer).__name__}, which makes {output} of "
                f"{tuple(x_shape)}."
            )
        self.built = True

    def call(self, x: Any, skip: Any = None, training: bool | None = None) -> Any:
        before, after = (self.norm, None) if self.placement == "pre" else (None, self.norm)
        if skip is not None:
            inner = self.layer(x if before is None else before(x))
            y = kernels.add(skip, kernels.row_wise(self.output_dropout, inner))
            return y if after is None else after(y)
        return kernels.residual(x, self.layer, before, after, self.output_dropout, training)

    def compute_output_shape(
        self, x_shape: Sequence[int | None], skip_shape: Any = None
    ) -> tuple[int | None, ...]:
        return tuple(x_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            layer=inner_config(self.layer),
            placement=self.placement,
            norm=self.norm_kind,
            epsilon=self.epsilon,
            dropout=self.dropout,
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Residual":
        config = dict(config)
        config["layer"] = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**config)
