"""keras-rs still has no public way to write tables, and holds them where we look."""

import inspect

import keras_rs
import numpy as np
import pytest

from rankup_keras.compat.distributed_embedding import default_device_tables, sparse_core_tables


@pytest.fixture
def embedding():
    table = keras_rs.layers.TableConfig("t", 5, 3, placement="default_device", combiner="sum")
    feature = keras_rs.layers.FeatureConfig("f", table, (4, 2), (4, 3))
    layer = keras_rs.layers.DistributedEmbedding({"f": feature})
    layer.build({"f": (4, 2)})
    return layer


def test_off_tpu_every_feature_has_the_variable_of_its_table(embedding):
    assert sparse_core_tables(embedding) is None
    (variable,) = default_device_tables(embedding).values()
    assert tuple(variable.shape) == (5, 3)
    variable.assign(np.ones((5, 3)))
    np.testing.assert_array_equal(embedding.get_embedding_tables()["t"], np.ones((5, 3)))


def test_nothing_public_writes_tables():
    public = [name for name in dir(keras_rs.layers.DistributedEmbedding) if name[0] != "_"]
    assert not [n for n in public if "table" in n and n != "get_embedding_tables"]


def test_stacked_tables_are_still_looked_for_by_their_own_name():
    reader = keras_rs.layers.DistributedEmbedding._sparsecore_get_embedding_tables
    source = inspect.getsource(reader)
    assert "self._tpu_embedding.embedding_tables[table_name]" in source
    assert "embedding_layouts" not in source
