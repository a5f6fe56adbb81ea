"""A behavior sequence as one vector."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.features.spec import COMBINERS
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class SequencePooling(ConfiguredLayer):
    """Reduces a sequence of embeddings to one vector, padding left out.

    Args:
        combiner: `"mean"` (default), `"sum"`, or `"sqrtn"`, the sum divided by
            the square root of the number of items.

    Call arguments:
        items: float tensor (batch, length, dim).
        ids: integer tensor (batch, length); 0 is padding.

    Returns:
        Tensor (batch, dim), zeros for an empty sequence.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    items = np.ones((1, 3, 8), "float32") * np.array([[[1], [3], [9]]], "float32")
    ids = np.array([[4, 2, 0]])                 # the third is padding
    print(rk.layers.SequencePooling("mean")(items, ids))        # all 2
    ```

    References:
        - RankUp, arXiv 2604.17878, sequence token.
    """

    def __init__(self, combiner: str = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if combiner not in COMBINERS:
            raise ValueError(
                f"`combiner` must be 'mean', 'sum' or 'sqrtn'. Received: combiner={combiner!r}."
            )
        self.combiner = combiner

    def call(self, items: Any, ids: Any) -> Any:
        mask = ops.cast(ops.not_equal(ids, 0), items.dtype)
        total = ops.sum(items * ops.expand_dims(mask, -1), axis=1)
        if self.combiner == "sum":
            return total
        count = ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1)
        return total / (count if self.combiner == "mean" else ops.sqrt(count))

    def compute_output_shape(
        self, items_shape: Sequence[int | None], ids_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (items_shape[0], items_shape[2])
