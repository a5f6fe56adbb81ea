"""The tables inside keras-rs's `DistributedEmbedding`.

Its public `get_embedding_tables` fails for stacked tables on SparseCores, since it looks for the
name of a table where stacks have theirs, and nothing public writes tables. Read in keras-rs 0.4.0
(`layers/embedding/tensorflow/distributed_embedding.py`). Both functions can go once keras-rs reads
stacked tables and has a `set_embedding_tables`.
"""

from typing import Any


def sparse_core_tables(embedding: Any) -> Any:
    """The `TPUEmbeddingV2` that holds the tables, or `None` off TPU."""
    return getattr(embedding, "_tpu_embedding", None)


def default_device_tables(embedding: Any) -> dict[str, Any]:
    """Off TPU, the variable of every feature's table, by the name of the feature."""
    layers = embedding._default_device_embedding_layers
    return {feature: layer.embeddings for feature, layer in layers.items()}
