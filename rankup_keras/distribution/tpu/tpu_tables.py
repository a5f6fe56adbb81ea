"""How models keep their tables on a TPU. No TPU has run it."""

import contextvars
from typing import Any

import numpy as np

from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from rankup_keras.layers.embeddings.placement import ON_SPARSE_CORES


class TPUTables:
    """What a model's tables on a TPU need to know when the model is built. Experimental.

    A model built under a `TPUStrategy` keeps its tables where the hardware
    wants them: on chips with SparseCores (v5p, v6e) as `TPUFieldEmbedding`; on
    others, whole, in the memory of every chip, as `FieldEmbedding` without the
    check of ids, which needs strings. SparseCores need shapes and optimizers
    before there is a table, and so before `compile`: build the model in this
    context. Elsewhere it changes nothing, so that one program runs everywhere.

    Args:
        batch_size: int. The global batch size, the same for every batch.
        optimizer: what trains the tables: the `Split` that `compile` gets, of
            which the part for the tables counts; or one of SGD, Adagrad, Adam
            (lazy) and Ftrl, or its name; or a dict from feature to one of these.
            Defaults to `"adagrad"`.
        table_stacking: `"auto"` (default): TensorFlow stacks tables of one width
            and optimizer as it sees fit; or `None`: it stacks none.

    Raises:
        ValueError: an argument is out of its range.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    optimizer = rk.optimizers.Split("adagrad", "adam")
    strategy = rk.distribution.strategy("cpu")  # "tpu" where there is one
    with strategy.scope(), rk.distribution.experimental.TPUTables(4096, optimizer):
        model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
        model.compile(optimizer)
    ```
    """

    def __init__(
        self,
        batch_size: int,
        optimizer: Any = "adagrad",
        table_stacking: str | None = "auto",
    ) -> None:
        if (
            isinstance(batch_size, bool)
            or not isinstance(batch_size, int | np.integer)
            or batch_size < 1
        ):
            raise ValueError(
                f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}."
            )
        if table_stacking not in ("auto", None):
            raise ValueError(
                f"`table_stacking` must be 'auto' or None. Received: {table_stacking!r}."
            )
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.table_stacking = table_stacking
        self._tokens: list[contextvars.Token] = []

    def __enter__(self) -> "TPUTables":
        self._tokens.append(ON_SPARSE_CORES.set(self._place))
        return self

    def __exit__(self, *error: object) -> None:
        ON_SPARSE_CORES.reset(self._tokens.pop())

    def _place(self, layer: FieldEmbedding) -> TPUFieldEmbedding:
        return TPUFieldEmbedding(
            layer,
            self.batch_size,
            self.optimizer,
            table_stacking=self.table_stacking,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
