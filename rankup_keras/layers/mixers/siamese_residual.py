"""A sub-layer between the two streams of SiameseNorm."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from rankup_keras.layers.mixers.residual import inner_config


@serializable
class SiameseResidual(keras.layers.Layer):
    """Adds a layer's output to two streams, of which one is normalized and one is not.

    `o = layer(s)`, `x' = Norm(x + o)`, `y' = y + o`. Both streams start as the
    tokens, and what a layer reads is `s = x + Norm(y)` (`SiameseSum`): one
    stream bounds the activations as post-norm does, the other lets gradients
    through as pre-norm does. The paper does not say whether `layer` is half a
    block, as it is in models with `norm="siamese"`, or the mixing and the network
    behind it together, as with `norm="siamese_blocks"`.

    Args:
        layer: the layer inside, keeping the shape of its input.
        epsilon: float added to the variance. Defaults to 1e-6.
        dropout: float. Dropout rate on the layer's output. Defaults to 0.

    Call arguments:
        s: float tensor (batch, T, D), what the layer reads.
        x: tensor of the same shape, the normalized stream.
        y: tensor of the same shape, the other stream.
        training: bool.

    Returns:
        The tuple `(x', y')`.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    x = y = np.random.normal(size=(2, 4, 16)).astype("float32")
    for layer in (rk.layers.UniMixing(), rk.layers.PerTokenSwiGLU()):
        x, y = rk.layers.SiameseResidual(layer)(rk.layers.SiameseSum()(x, y), x, y)
    print(rk.layers.SiameseSum()(x, y).shape)   # (2, 4, 16)
    ```

    References:
        - SiameseNorm, arXiv 2602.08064, as UniMixer, arXiv 2604.00590, uses it.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        epsilon: float = 1e-6,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.layer = layer
        self.epsilon = epsilon
        self.dropout = dropout
        self.norm = LayerNorm(epsilon, dtype=self.dtype_policy, name="norm")
        self.output_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, s_shape: Sequence[int | None], x_shape: Any, y_shape: Any) -> None:
        self.norm.build(s_shape)
        if not self.layer.built:
            self.layer.build(s_shape)
        self.built = True

    def call(self, s: Any, x: Any, y: Any, training: bool | None = None) -> tuple[Any, Any]:
        o = kernels.row_wise(self.output_dropout, self.layer(s))
        return self.norm(kernels.add(x, o)), kernels.add(y, o)

    def compute_output_shape(self, s_shape: Any, x_shape: Any, y_shape: Any) -> Any:
        return tuple(x_shape), tuple(y_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(layer=inner_config(self.layer), epsilon=self.epsilon, dropout=self.dropout)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SiameseResidual":
        config = dict(config)
        config["layer"] = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**config)
