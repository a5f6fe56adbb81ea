"""How models keep their tables on a TPU."""

import contextvars
from typing import Any

import tensorflow as tf

from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding, has_sparse_cores
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding

_CURRENT: contextvars.ContextVar[Any] = contextvars.ContextVar("tpu_tables", default=None)


class TPUTables:
    """What a model's tables on a TPU need to know when the model is built.

    A model built under a `TPUStrategy` keeps its tables where the hardware
    wants them: on chips with SparseCores (v5p, v6e) as `TPUFieldEmbedding`, on
    others, whole, in every chip's memory, as `FieldEmbedding` without the check
    of ids, which needs strings. SparseCores want shapes and optimizers before
    there is a table, and so before `compile`: build the model in this context.
    Elsewhere it changes nothing, so that one program runs everywhere.

    Args:
        batch_size: int. The global batch size, of all batches.
        optimizer: what trains the tables: the `Split` that `compile` gets, of
            which its tables' part counts; or one of SGD, Adagrad, Adam (lazy)
            and Ftrl, or its name; or a dict with one for each table, by
            feature. Defaults to `"adagrad"`.
        table_stacking: `"auto"` (default), tables of one width and optimizer
            lie together as TensorFlow sees fit; or `None`.

    Example:

    ```python
    optimizer = rk.optimizers.Split("adagrad", "adam")
    with strategy.scope(), rk.distribution.TPUTables(4096, optimizer):
        model = rk.RankUp(features, tasks=["click"])
        model.compile(optimizer)
    ```

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        batch_size: int,
        optimizer: Any = "adagrad",
        table_stacking: str | None = "auto",
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
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
        self._tokens.append(_CURRENT.set(self))
        return self

    def __exit__(self, *error: object) -> None:
        _CURRENT.reset(self._tokens.pop())


def placed(layer: FieldEmbedding) -> FieldEmbedding | TPUFieldEmbedding:
    """A layer not yet built, in the form for the strategy in whose scope this is called.

    Raises:
        ValueError: SparseCores, and no `TPUTables`.
    """
    if not isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return layer
    if not has_sparse_cores():
        return FieldEmbedding.from_config({**layer.get_config(), "validate": False})
    settings = _CURRENT.get()
    if settings is None:
        raise ValueError(
            "Tables on a TPU's SparseCores are made for one batch size and optimizer. Build the "
            "model within `with rankup_keras.distribution.TPUTables(batch_size, optimizer):`."
        )
    return TPUFieldEmbedding(
        layer,
        settings.batch_size,
        settings.optimizer,
        table_stacking=settings.table_stacking,
        name=layer.name,
        dtype=layer.dtype_policy,
    )
