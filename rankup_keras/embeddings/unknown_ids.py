"""Practice in not knowing an id."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from rankup_keras._registry import serializable

UNKNOWN = 1


@serializable
class UnknownIds(keras.layers.Layer):
    """Replaces ids by the unknown id at random while training.

    The embedding of unknown values is otherwise never trained, since a
    vocabulary learned from the training rows knows all their values; and a
    model that always knows the user leans on that. With a share of ids hidden,
    it learns what to expect of a user or an item that it has never seen.

    Args:
        rates: list of floats in [0, 1), one a slot of the ids: the share that
            is replaced by id 1. Id 0 (missing) stays.
        seed: int or `None`.

    Call arguments:
        ids: integer tensor (batch, slots).
        training: bool.

    Returns:
        Tensor of the same shape and dtype.
    """

    def __init__(self, rates: Sequence[float], seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rates = [float(rate) for rate in rates]
        if any(not 0 <= rate < 1 for rate in self.rates):
            raise ValueError(f"`rates` must lie in [0, 1). Received: rates={self.rates}.")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids: Any, training: bool | None = None) -> Any:
        if not training:
            return ids
        draws = keras.random.uniform(ops.shape(ids), dtype="float32", seed=self.seed_generator)
        hidden = ops.logical_and(draws < np.array(self.rates, np.float32), ids != 0)
        return ops.where(hidden, ops.cast(UNKNOWN, ids.dtype), ids)

    def compute_output_spec(self, ids: Any, training: bool | None = None) -> Any:
        return keras.KerasTensor(ids.shape, dtype=ids.dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(rates=self.rates, seed=self.seed)
        return config
