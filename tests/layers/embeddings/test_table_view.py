"""Tables read where they lie, and what a layer without tables says."""

import numpy as np
import pytest

from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import FieldEmbedding

TABLES = [TableSpec("user", 5), TableSpec("item", 7), TableSpec("wide", 4, dim=6)]
FIELDS = [FieldSpec(t.name, t.name, start) for start, t in enumerate(TABLES)]


def test_views_read_what_the_tables_hold():
    layer = FieldEmbedding(TABLES, FIELDS, 3, table_sets=("a", "b"))
    layer(np.zeros((1, 3), np.int32))
    views, tables = layer.table_views(), layer.get_tables()
    assert set(views) == set(tables)
    for name, view in views.items():
        assert (view.rows, view.dim) == tables[name].shape
        np.testing.assert_array_equal(view.read(np.arange(view.rows)), tables[name])
        np.testing.assert_array_equal(view.read([2, 0, 2]), tables[name][[2, 0, 2]])


@pytest.mark.parametrize("index", [-1, 5])
def test_rows_of_another_table_are_not_read(index):
    layer = FieldEmbedding(TABLES, FIELDS, 3)
    layer(np.zeros((1, 3), np.int32))
    with pytest.raises(IndexError, match=rf"\[0, 5\).*{index}"):
        layer.table_views()["shared/user"].read(np.array([0, index]))


@pytest.mark.parametrize("method", ["table_views", "get_tables"])
def test_a_layer_without_tables_says_so(method):
    layer = FieldEmbedding(TABLES, FIELDS, 3, name="fields")
    with pytest.raises(RuntimeError, match="'fields' has no tables yet"):
        getattr(layer, method)()
