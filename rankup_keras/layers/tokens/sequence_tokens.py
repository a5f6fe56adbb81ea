"""Tokens of behavior sequences."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense
from rankup_keras.layers.tokens.sequence_pooling import SequencePooling


@serializable
class SequenceTokens(ConfiguredLayer):
    """Makes one token of each behavior sequence: its pooled items, projected.

    `x_s = pool(e_i for items i of sequence s that are not padding) W_s + b_s`.
    An empty sequence gives `b_s`.

    Args:
        token_dim: int. Width D of a token.
        combiner: `"mean"` (default), `"sum"` or `"sqrtn"`, see
            `SequencePooling`; or a list of them, one per sequence.
        kernel_initializer: initializer of one sequence's projection.
        kernel_regularizer: regularizer of the projections. Defaults to none.

    Call arguments:
        embeddings: list of S float tensors (batch, length, dim).
        ids: list of S integer tensors (batch, length); 0 is padding.

    Returns:
        Tensor (batch, S, token_dim).

    Raises:
        ValueError: a list of combiners of another length than the sequences.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    clicks, buys = np.ones((2, 5, 8), "float32"), np.ones((2, 3, 4), "float32")
    ids = [np.ones((2, 5), "int32"), np.ones((2, 3), "int32")]
    print(rk.layers.SequenceTokens(16)([clicks, buys], ids).shape)      # (2, 2, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, sequence token.
    """

    def __init__(
        self,
        token_dim: int,
        combiner: str | Sequence[str] = "mean",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token_dim = token_dim
        self.combiner = combiner if isinstance(combiner, str) else list(combiner)
        names = [combiner] if isinstance(combiner, str) else self.combiner
        self.poolings = [SequencePooling(name, dtype=self.dtype_policy) for name in names]
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, embeddings_shape: Any, ids_shape: Any = None) -> None:
        dims = [int(shape[-1]) for shape in embeddings_shape]
        if len(self.poolings) not in (1, len(dims)):
            raise ValueError(
                f"`combiner` must be one name, or one per sequence. Received "
                f"{len(self.poolings)} for {len(dims)} sequences: combiner={self.combiner}."
            )
        self._width = max(dims)
        self.projection = PerTokenDense(
            self.token_dim,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            fan_in=dims,
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build((None, len(dims), self._width))
        self.built = True

    def call(self, embeddings: Sequence[Any], ids: Sequence[Any]) -> Any:
        poolings = self.poolings * (1 if len(self.poolings) == len(ids) else len(ids))
        triples = zip(poolings, embeddings, ids, strict=True)
        pooled = [pooling(items, own) for pooling, items, own in triples]
        pooled = [ops.pad(x, [[0, 0], [0, self._width - x.shape[-1]]]) for x in pooled]
        return self.projection(ops.stack(pooled, axis=1))

    def compute_output_shape(
        self, embeddings_shape: Any, ids_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (embeddings_shape[0][0], len(embeddings_shape), self.token_dim)
