"""A behavior sequence as the candidate sees it."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class TargetAttention(ConfiguredLayer):
    """Reduces a sequence to one vector, its items weighted by the candidate.

    `a_i = softmax_i((c Q) . (e_i K) / sqrt(u))` over items that are not
    padding, and `sum_i a_i e_i`.

    Args:
        units: int or `None`. Width u of queries and keys; `None` for the
            width of the items.
        kernel_initializer: initializer of Q and K. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: regularizer of Q and K. Defaults to none.

    Call arguments:
        items: float tensor (batch, length, dim).
        ids: integer tensor (batch, length); 0 is padding.
        candidate: float tensor (batch, candidate dim).

    Returns:
        Tensor (batch, dim), zeros for an empty sequence.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    items = np.random.normal(size=(2, 3, 8)).astype("float32")
    ids = np.array([[4, 2, 0], [0, 0, 0]])      # two items, and none
    candidate = np.random.normal(size=(2, 8)).astype("float32")
    print(rk.layers.TargetAttention()(items, ids, candidate).shape)     # (2, 8)
    ```

    References:
        - RankUp, arXiv 2604.17878, sequence token (the encoder is not stated);
          attention over the candidate as in Deep Interest Network, arXiv 1706.06978.
    """

    def __init__(
        self,
        units: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"`units` must be positive. Received: units={units}.")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(
        self,
        items_shape: Sequence[int | None],
        ids_shape: Sequence[int | None],
        candidate_shape: Sequence[int | None],
    ) -> None:
        units = self.units or int(items_shape[-1] or 0)

        def matrix(name: str, width: int | None) -> Any:
            return self.add_weight(
                name=name,
                shape=(width, units),
                # A copy: one initializer draws the same numbers at each call, and Q would be K.
                initializer=self.kernel_initializer.clone(),
                regularizer=self.kernel_regularizer,
            )

        self.query = matrix("query", candidate_shape[-1])
        self.key = matrix("key", items_shape[-1])
        self.built = True

    def call(self, items: Any, ids: Any, candidate: Any) -> Any:
        # (c Q) K^T once per row, instead of a key for every item.
        query = ops.matmul(ops.matmul(candidate, self.query), ops.transpose(self.key))
        scores = ops.sum(items * ops.expand_dims(query, 1), axis=-1)
        scores = ops.cast(scores, "float32") / math.sqrt(self.query.shape[-1])
        valid = ops.not_equal(ids, 0)
        weights = ops.softmax(ops.where(valid, scores, -1e9), axis=-1)
        weights = ops.cast(weights * ops.cast(valid, "float32"), items.dtype)
        return ops.sum(items * ops.expand_dims(weights, -1), axis=1)

    def compute_output_shape(
        self,
        items_shape: Sequence[int | None],
        ids_shape: Sequence[int | None],
        candidate_shape: Sequence[int | None],
    ) -> tuple[int | None, ...]:
        return (items_shape[0], items_shape[2])
