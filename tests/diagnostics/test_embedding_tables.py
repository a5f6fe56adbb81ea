import keras
import numpy as np
import pytest

from rankup_keras.diagnostics.embedding_tables import embedding_tables
from rankup_keras.diagnostics.measure import measure_tables
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import FieldEmbedding
from tests.reference import effective_rank as reference


def test_rows_are_those_that_the_layer_looks_up():
    tables = [TableSpec("user", rows=5), TableSpec("item", rows=7), TableSpec("wide", 4, dim=6)]
    fields = [FieldSpec(t.name, t.name, start) for start, t in enumerate(tables)]
    layer = FieldEmbedding(tables, fields, embedding_dim=3, table_sets=("a", "b"))
    inputs = keras.Input((3,), dtype="int32")
    out = layer(inputs)
    model = keras.Model(inputs, out)
    found = embedding_tables(model)
    assert set(found) == {f"{s}/{t}" for s in "ab" for t in ("user", "item", "wide")}
    vectors = layer(np.array([[4, 6, 3]], "int32"))
    for table_set in "ab":
        read = [found[f"{table_set}/{t.name}"].read(np.array([t.rows - 1]))[0] for t in tables]
        np.testing.assert_array_equal(np.concatenate(read), vectors[table_set][0])


def test_keras_embeddings_inside_nested_models():
    inner_in = keras.Input((4,), dtype="int32")
    inner = keras.Model(inner_in, keras.layers.Embedding(9, 5, name="words")(inner_in))
    x = keras.Input((4,), dtype="int32")
    (view,) = embedding_tables(keras.Model(x, inner(x))).values()
    assert (view.rows, view.dim) == (9, 5)
    weights = inner.get_layer("words").get_weights()[0]
    np.testing.assert_array_equal(view.read(np.array([8, 0])), weights[[8, 0]])


def test_abundance_is_that_of_the_table_or_of_evenly_chosen_rows():
    x = keras.Input((4,), dtype="int32")
    layer = keras.layers.Embedding(100, 6, name="words")
    tables = embedding_tables(keras.Model(x, layer(x)))
    weights = layer.get_weights()[0]
    whole = measure_tables(tables, rows=1000)["words"]
    assert whole.abundance == pytest.approx(reference.information_abundance(weights), rel=1e-6)
    assert (whole.rows, whole.measured, whole.ceiling) == (100, 100, 6)
    some = measure_tables(tables, rows=4)["words"]
    assert some.abundance == pytest.approx(
        reference.information_abundance(weights[[0, 33, 66, 99]]), rel=1e-6
    )
    assert (some.measured, some.ceiling) == (4, 4)


def test_a_collapsed_table_reads_one():
    x = keras.Input((4,), dtype="int32")
    layer = keras.layers.Embedding(50, 8)
    tables = embedding_tables(keras.Model(x, layer(x)))
    layer.set_weights([np.outer(np.arange(50), np.ones(8))])
    assert next(iter(measure_tables(tables, 1000).values())).abundance == pytest.approx(1.0)
