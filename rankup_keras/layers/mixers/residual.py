"""A residual connection with its normalisation."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.kernels.elementwise import add, on_tpu, twice
from rankup_keras.kernels.tiles import Tiling, in_tiles, tile_rows
from rankup_keras.layers.mixers.layer_norm import LayerNorm

NORMS = ("layer_norm", "rms_norm", None)
PLACEMENTS = ("pre", "post")


def make_norm(norm: str | None, epsilon: float, dtype: Any, name: str) -> keras.layers.Layer | None:
    """The normalisation layer of a name, over the last axis; `None` for none."""
    if norm not in NORMS:
        raise ValueError(f"`norm` must be one of {NORMS}. Received: norm={norm!r}.")
    if norm == "layer_norm":
        return LayerNorm(epsilon=epsilon, dtype=dtype, name=name)
    if norm == "rms_norm":
        return keras.layers.RMSNormalization(epsilon=epsilon, dtype=dtype, name=name)
    return None


def inner_config(layer: keras.layers.Layer) -> dict[str, Any]:
    """Config of a layer inside another one, which builds it for the shapes that it gets itself."""
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config


@serializable
class Residual(keras.layers.Layer):
    """Adds a layer's output to its input, with normalisation before or after.

    - `placement="pre"`: `y = x + layer(norm(x))` (RankUp)
    - `placement="post"`: `y = norm(x + layer(x))` (RankMixer)

    Args:
        layer: the layer inside, keeping the shape of its input.
        placement: `"pre"` or `"post"`. Defaults to `"pre"`.
        norm: `"layer_norm"` (default), `"rms_norm"` or `None`.
        epsilon: float added to the variance. Defaults to 1e-6.
        dropout: float. Dropout rate on the layer's output. Defaults to 0.

    Call arguments:
        x: float tensor (batch, T, D), or (T, batch, D) where the layer says so.
        training: bool.

    Returns:
        Tensor of the same shape.

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

    @property
    def tokens_first(self) -> bool:
        """Whether tokens are the first axis of this layer's tensors."""
        return bool(getattr(self.layer, "tokens_first", False))

    def build(self, input_shape: Sequence[int | None]) -> None:
        if self.norm is not None:
            self.norm.build(input_shape)
        if not self.layer.built:
            self.layer.build(input_shape)
        output = tuple(self.layer.compute_output_shape(input_shape))
        if output != tuple(input_shape):
            raise ValueError(
                f"`layer` must keep the shape of its input, which is added to its output. "
                f"Received {type(self.layer).__name__}, which makes {output} of "
                f"{tuple(input_shape)}."
            )
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        tiling = self._tiling(x.shape) if training and on_tpu() else None
        if tiling is not None and tile_rows(x.shape[1], tiling.width):
            return self._in_tiles(x, tiling)
        x, inner = twice(x) if training else (x, x)
        if self.norm is not None and self.placement == "pre":
            inner = self.norm(inner)
        y = None if training else self._folded(x, inner)
        if y is None:
            if self.layer._call_has_training_arg:
                inner = self.layer(inner, training=training)
            else:
                inner = self.layer(inner)
            inner = self.output_dropout(inner, training=training)
            y = add(x, inner) if training else x + inner
        return self.norm(y) if self.norm is not None and self.placement == "post" else y

    def _folded(self, x: Any, inner: Any) -> Any:
        """`x + layer(inner)` where the layer can fold the sum, else `None`."""
        alike = self.layer.compute_dtype == self.compute_dtype
        return self.layer.added_to(x, inner) if alike and hasattr(self.layer, "added_to") else None

    def _tiling(self, shape: Sequence[int | None]) -> Tiling | None:
        # A tile is computed again for the gradient, which dropout would change.
        if self.dropout or not self.tokens_first or not hasattr(self.layer, "tiling"):
            return None
        return self.layer.tiling(shape)

    def _in_tiles(self, x: Any, tiling: Tiling) -> Any:
        """The same in tiles, on tokens-first `x` of a static shape."""
        norm_weights = [] if self.norm is None else self.norm.trainable_variables
        shared = [keras.ops.convert_to_tensor(weight) for weight in norm_weights]

        def normed(x: Any, shared: Sequence[Any]) -> Any:
            if self.norm is None:
                return x
            with keras.StatelessScope(state_mapping=list(zip(norm_weights, shared, strict=True))):
                return self.norm(x, training=True)

        def added(x: Any, own: Sequence[Any], shared: Sequence[Any]) -> Any:
            inner = normed(x, shared) if self.placement == "pre" else x
            return x + tiling.function(inner, *own)

        def added_and_normed(x: Any, own: Sequence[Any], shared: Sequence[Any]) -> Any:
            return normed(added(x, own, shared), shared)

        tile = (tiling.tokens, tile_rows(x.shape[1], tiling.width) or 0)
        own = [keras.ops.convert_to_tensor(weight) for weight in tiling.weights]
        if self.placement == "pre":
            return in_tiles(added, x, tile, own, shared)
        if not own and self.norm is not None:
            return in_tiles(added_and_normed, x, tile, own, shared)
        # By itself: with the layer in one tile, the norm's gradient would need its products again.
        y = in_tiles(added, x, tile, own)
        if self.norm is None:
            return y
        tile = (1, tile_rows(x.shape[1], x.shape[2]) or 0)
        return in_tiles(lambda y, _, shared: normed(y, shared), y, tile, (), shared)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

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
