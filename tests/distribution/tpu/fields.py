"""The fields that the tests of TPU lookups share, and plain variables in the place of shards."""

import types

import numpy as np
import tensorflow as tf
from keras_rs.src.layers.embedding.tensorflow import config_conversion
from tensorflow.python.tpu import tpu_embedding_v3

from rankup_keras.distribution.experimental import TPUFieldEmbedding
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding

TABLES = [TableSpec("user", 37), TableSpec("item", 21, 8), TableSpec("genre", 10)]
FIELDS = [
    FieldSpec("user", "user", 0),
    FieldSpec("genres", "genre", 1, 3, "bag", "mean", 0),
    FieldSpec("tags", "genre", 4, 2, "bag", "sqrtn"),
    FieldSpec("item", "item", 6),
    FieldSpec("clicks", "item", 7, 2, "sequence"),
]
SHAPES = {
    "token__user": (37, 16),
    "token__item": (21, 8),
    "token__genre": (10, 16),
    "global__item": (21, 8),
    "global__genre": (10, 16),
}
BATCH = 8


def make(**kwargs):
    fields = FieldEmbedding(TABLES, FIELDS, 16, {"token": None, "global": ["item", "genres"]})
    kwargs = {"placement": "default_device", "optimizer": "adagrad"} | kwargs
    return fields, TPUFieldEmbedding(fields, BATCH, **kwargs)


def make_ids():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, (BATCH, 9)).astype(np.int32)
    ids[0, 1:6] = 0  # empty bags
    ids[1, 7:9] = 0  # an empty sequence
    return ids, rng.random((BATCH, 3)).astype(np.float32)


def stand_in(on_tpu, devices, cores_per_device, stacking):
    """Layouts from TensorFlow's own stacker, and plain variables where a TPU's shards would be."""
    features, cores = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), stacking, 1
    )
    flat = sorted(features.items())
    tables = {f.table.name: f.table for f in features.values()}
    stacks = tpu_embedding_v3._stack_tables_with_same_table_dim_and_optimizer(
        list(tables.values()), flat, devices, cores_per_device, cores
    )
    layouts = stacks.table_to_layout
    rng = np.random.default_rng(1)
    variables = {}
    for layout in layouts.values():
        rows = layout.total_rows_per_sparse_core_shard * cores_per_device
        shape = (rows, layout.unsharded_padded_shape[1])
        variables[layout.stacked_table_name] = types.SimpleNamespace(
            values=[tf.Variable(rng.normal(size=shape).astype("f")) for _ in range(devices)]
        )
    return types.SimpleNamespace(embedding_layouts=layouts, embedding_tables=variables)
