"""Where a model's tables lie, by the strategy in whose scope the model is built."""

import contextvars
from collections.abc import Callable

import tensorflow as tf

from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from rankup_keras.layers.embeddings.field_lookup import FieldLookup

# Makes the SparseCores' form of a layer; set by `distribution.experimental.TPUTables`.
ON_SPARSE_CORES: contextvars.ContextVar[Callable[[FieldEmbedding], FieldLookup] | None] = (
    contextvars.ContextVar("on_sparse_cores", default=None)
)


def has_sparse_cores() -> bool:
    """Whether the strategy in whose scope this is called has chips with SparseCores."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        return False
    found = strategy.extended.tpu_hardware_feature.embedding_feature
    return bool(found == tf.tpu.experimental.HardwareFeature.EmbeddingFeature.V2)


def placed(layer: FieldEmbedding) -> FieldLookup:
    """A layer not yet built, in the form for the strategy in whose scope this is called.

    Raises:
        ValueError: the chips have SparseCores, and there is no `TPUTables`.
    """
    if not isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        return layer
    if not has_sparse_cores():
        # The check of ids needs strings, which a TPU does not have.
        return FieldEmbedding.from_config({**layer.get_config(), "validate": False})
    make = ON_SPARSE_CORES.get()
    if make is None:
        raise ValueError(
            "Tables on the SparseCores of a TPU are made for one batch size and optimizer. Build "
            "the model within `with rankup_keras.distribution.experimental.TPUTables(batch_size, "
            "optimizer):`."
        )
    return make(layer)
