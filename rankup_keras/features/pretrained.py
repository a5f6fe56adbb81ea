"""Vectors made by another model."""

from typing import Any

import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.feature import Feature, Side, positive_int


@serializable
class Pretrained(Feature):
    """A column that holds a vector from a pretrained model, such as a two-tower's.

    A vector with a NaN or infinite entry counts as missing and becomes zeros;
    layers that read it know a zero vector as missing.

    Args:
        name: str. Name of the raw column, float32 of shape `(batch, dim)`.
        dim: int. Width of the vector.
        side: see `Feature`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Pretrained("item_vector", dim=2)])
    vectors = features.encode({"item_vector": [[0.5, 1.0], None]})["encoded_vectors"]
    assert vectors.tolist() == [[0.5, 1.0], [0.0, 0.0]]
    ```
    """

    def __init__(
        self, name: str, dim: int, side: Side | None = None, group: str | None = None
    ) -> None:
        super().__init__(name, side, group)
        self.dim = positive_int(dim, "dim", f"feature {name!r}")

    def raw_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, self.dim), tf.float32, name=self.name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(dim=self.dim)
        return config
