"""`FieldEmbedding` against its NumPy form, and all that can be done wrong with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from tests.helpers.layer_test import run_layer_test
from tests.reference.embeddings import field_embedding

TABLES = [TableSpec("user", 30), TableSpec("item", 20, 8), TableSpec("genre", 10)]
FIELDS = [
    FieldSpec("user", "user", 0),
    FieldSpec("genres", "genre", 1, 3, "bag", "mean", 0),
    FieldSpec("item", "item", 4),
    FieldSpec("clicks", "item", 5, 4, "sequence"),
    FieldSpec("tags", "genre", 9, 3, "bag", "sqrtn"),
    FieldSpec("words", "user", 12, 2, "bag", "sum"),
    FieldSpec("shop", "genre", 14),
]
SETS = {"token": None, "global": ["item", "genres", "clicks"]}


def make_ids(batch=6, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 10, (batch, 15)).astype(np.int32)
    ids[0, 1:4] = 0  # an empty bag
    ids[1, 5:9] = 0  # an empty sequence
    return ids, rng.random((batch, 3)).astype(np.float32)


def tables_of(layer):
    """The stacked variables cut into tables, by the layer's own account of where they lie."""
    out = {name: {} for name in layer.table_sets}
    for key, view in layer.table_views().items():
        table_set, table = key.split("/", 1)
        columns = slice(view.start, view.start + view.dim)
        out[table_set][table] = view.variable.numpy()[
            view.offset : view.offset + view.rows, columns
        ]
    return out


def assert_equals_reference(layer, fields, ids, weights=None):
    actual = layer(ids, weights)
    wanted = field_embedding(tables_of(layer), fields, layer.table_sets, ids, weights)
    assert set(actual) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(actual[key], value, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("table_sets", [1, 3, ("a", "b"), SETS])
def test_equals_the_numpy_form(table_sets):
    layer = FieldEmbedding(TABLES, FIELDS, 4, table_sets)
    assert_equals_reference(layer, FIELDS, *make_ids())


def test_equals_the_numpy_form_with_a_wider_set():
    layer = FieldEmbedding(TABLES, FIELDS, 4, SETS, widths={"global": 12})
    assert layer.field_dims("global") == (12, 12)
    assert_equals_reference(layer, FIELDS, *make_ids())


@st.composite
def any_fields(draw):
    """Fields of every kind, in any order and width, some sharing a table."""
    tables = [
        TableSpec(f"t{i}", draw(st.integers(3, 9)), draw(st.sampled_from([None, 2, 6])))
        for i in range(draw(st.integers(1, 3)))
    ]
    fields, start, weights = [], 0, 0
    for i in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["single", "bag", "sequence"]))
        length = 1 if kind == "single" else draw(st.integers(1, 3))
        weighted = kind == "bag" and draw(st.booleans())
        combiner = draw(st.sampled_from(["mean", "sum", "sqrtn"]))
        table = draw(st.sampled_from(tables)).name
        weight_start = weights if weighted else None
        hashes = draw(st.integers(1, 3))
        fields.append(
            FieldSpec(f"f{i}", table, start, length, kind, combiner, weight_start, hashes)
        )
        start += length * hashes
        weights += length if weighted else 0
    return tables, fields, start, max(weights, 1)


@given(any_fields(), st.integers(1, 2))
def test_any_arrangement_of_fields(case, sets):
    tables, fields, slots, weight_slots = case
    rng = np.random.default_rng(slots)
    layer = FieldEmbedding(tables, fields, 4, sets)
    ids = rng.integers(0, 3, (4, slots)).astype(np.int32)
    for field in fields:  # A value is missing by all hash functions or by none.
        own = ids[:, field.start : field.start + field.length * field.hashes]
        own = own.reshape(4, field.hashes, field.length)
        known = own[:, :1] > 0
        apart = np.where(known, np.maximum(own, 1), 0).reshape(4, -1)
        ids[:, field.start : field.start + field.length * field.hashes] = apart
    weights = rng.random((4, weight_slots)).astype(np.float32)
    assert_equals_reference(layer, fields, ids, weights)
    for name in layer.table_sets:
        if layer.field_dims(name):
            assert layer(ids, weights)[name].shape == (4, sum(layer.field_dims(name)))


def test_gradient_is_that_of_the_numpy_form():
    layer = FieldEmbedding(TABLES, FIELDS, 4, SETS)
    ids, weights = make_ids()
    layer(ids, weights)
    rng = np.random.default_rng(3)
    upstream = {
        k: rng.normal(size=v.shape).astype(np.float32) for k, v in layer(ids, weights).items()
    }
    variables = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        out = layer(ids, weights)
        loss = tf.add_n([tf.reduce_sum(out[k] * upstream[k]) for k in out])
    gradients = tape.gradient(loss, variables)
    assert all(isinstance(g, tf.IndexedSlices) for g in gradients)

    def reference_loss():
        out = field_embedding(tables_of(layer), FIELDS, layer.table_sets, ids, weights)
        return sum(np.sum(out[k] * upstream[k]) for k in out)

    # The output is linear in the tables: a unit step gives the derivative exactly.
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        dense = tf.convert_to_tensor(gradient).numpy()
        start, values = reference_loss(), variable.numpy()
        for row in rng.choice(len(values), 8, replace=False):
            column = rng.integers(values.shape[1])
            changed = values.copy()
            changed[row, column] += 1.0
            variable.assign(changed)
            assert reference_loss() - start == pytest.approx(dense[row, column], abs=1e-4)
        variable.assign(values)


def test_everything_that_a_layer_must_stand():
    fields = [f for f in FIELDS if f.weight_start is None]
    run_layer_test(
        FieldEmbedding,
        {
            "tables": TABLES,
            "fields": fields,
            "embedding_dim": 4,
            "table_sets": SETS | {"global": ["item", "clicks"]},
            "widths": {"global": 6},
            "embeddings_initializer": keras.initializers.RandomNormal(stddev=0.1),
            "embeddings_regularizer": keras.regularizers.L2(1e-3),
            "validate": False,
        },
        inputs=make_ids()[0],
        expected_num_trainable=2,  # one width alone, one beside the other set's
        xla=False,  # `supports_jit` keeps models with tables out of XLA
    )


def test_lookup_by_itself_compiles_by_xla():
    layer = FieldEmbedding(TABLES, FIELDS, 4, SETS, validate=False)
    ids, weights = make_ids()
    wanted = layer(ids, weights)
    actual = tf.function(lambda i, w: layer(i, w), jit_compile=True)(ids, weights)
    for key, value in wanted.items():
        np.testing.assert_allclose(actual[key], value, atol=1e-6)


def test_a_restricted_layer_reads_the_same_variables():
    layer = FieldEmbedding(TABLES, FIELDS, 4, SETS, widths={"global": 6})
    ids, weights = make_ids()
    layer(ids, weights)
    part = layer.restricted([f for f in FIELDS if f.name in ("item", "words", "clicks")])
    assert part.field_names("token") == ("item", "words")
    wanted = field_embedding(
        tables_of(layer),
        [f for f in FIELDS if f.name in ("item", "words", "clicks")],
        {"token": None, "global": ["item", "clicks"]},
        ids,
    )
    actual = part(ids)
    assert set(actual) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(actual[key], value, atol=1e-6)
    assert {id(v) for v in part.table_variables} <= {id(v) for v in layer.variables}


def test_one_gather_however_many_fields_and_table_sets():
    tables = [TableSpec(f"t{i}", 50) for i in range(300)]
    fields = [FieldSpec(f"f{i}", f"t{i}", i) for i in range(300)]
    layer = FieldEmbedding(tables, fields, 4, table_sets=3, validate=False)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 300), tf.int32)).graph
    operations = [op.type for op in graph.get_operations()]
    assert operations.count("ResourceGather") == 1
    assert "ReadVariableOp" not in operations
    assert len(operations) < 40


def test_same_seed_same_tables():
    def first_rows():
        keras.utils.set_random_seed(7)
        layer = FieldEmbedding(TABLES, FIELDS, 4)
        layer(*make_ids())
        return layer.get_weights()[0]

    np.testing.assert_array_equal(first_rows(), first_rows())


def test_regularizer_counts_a_touched_row_once_and_no_other():
    layer = FieldEmbedding(
        [TableSpec("a", 10)],
        [FieldSpec("a", "a", 0), FieldSpec("b", "a", 1)],
        2,
        embeddings_regularizer=keras.regularizers.L2(0.5),
    )
    ids = np.array([[1, 2], [2, 2], [5, 1]], np.int32)
    layer(ids)
    rows = layer.get_weights()[0][[1, 2, 5]]
    assert float(layer.losses[0]) == pytest.approx(0.5 * np.sum(rows**2), rel=1e-5)
    with tf.GradientTape() as tape:
        layer(ids)
        loss = layer.losses[0]
    gradient = tape.gradient(loss, layer.trainable_variables[0].value)
    dense = tf.convert_to_tensor(gradient).numpy()
    np.testing.assert_allclose(dense[[1, 2, 5]], rows, rtol=1e-6)
    assert np.all(dense[[0, 3, 4, 6, 7, 8, 9]] == 0)


def test_missing_weights_are_refused():
    with pytest.raises(ValueError, match="needs `weights`"):
        FieldEmbedding(TABLES, FIELDS, 4)(make_ids()[0])


def test_exported_lookup_reads_the_same(tmp_path):
    inputs = [keras.Input((15,), dtype="int32"), keras.Input((3,))]
    model = keras.Model(inputs, FieldEmbedding(TABLES, FIELDS, 4, SETS)(*inputs))
    ids, weights = make_ids()
    wanted = model([ids, weights])
    model.export(str(tmp_path / "export"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    served = loaded.serve([ids, weights])
    for key, value in wanted.items():
        np.testing.assert_array_equal(served[key], value)
