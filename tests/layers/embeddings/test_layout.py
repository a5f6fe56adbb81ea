"""Table sets that lie side by side in one variable train as sets of their own would."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.optimizers import Split

TABLES = [TableSpec("user", 12), TableSpec("item", 9)]
FIELDS = [
    FieldSpec("user", "user", 0),
    FieldSpec("item", "item", 1),
    FieldSpec("bag", "user", 2, 3, "bag", "mean"),
    FieldSpec("clicks", "item", 5, 2, "sequence"),
]


def ids_of(seed, batch=8):
    return np.random.default_rng(seed).integers(0, 9, (batch, 7)).astype(np.int32)


def trained(layers, optimizer, steps=6):
    """Trains layers with one squared loss on their outputs together."""
    optimizer = Split(optimizer, "sgd")
    for layer in layers:
        layer(ids_of(0))
    variables = [v for layer in layers for v in layer.trainable_variables]
    optimizer.build(variables)
    for step in range(steps):
        ids = ids_of(step)
        with tf.GradientTape() as tape:
            outputs = {k: v for layer in layers for k, v in layer(ids).items()}
            loss = tf.add_n([tf.reduce_sum((x - 0.3) ** 2) for x in outputs.values()])
        gradients = tape.gradient(loss, [v.value for v in variables])
        assert all(isinstance(g, tf.IndexedSlices) for g in gradients)
        optimizer.apply(gradients, variables)
    return {name: table for layer in layers for name, table in layer.get_tables().items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "row_wise_adagrad", "ftrl", "lazy_adam"])
@pytest.mark.parametrize("widths", [{}, {"global": 6}])
def test_training_equals_that_of_layers_apart(optimizer, widths):
    together = FieldEmbedding(TABLES, FIELDS, 4, ("token", "global"), widths)
    apart = [
        FieldEmbedding(TABLES, FIELDS, widths.get(name, 4), (name,)) for name in ("token", "global")
    ]
    for layer in (together, *apart):
        layer(ids_of(0))
    assert len(together.trainable_variables) == 1
    for layer in apart:
        layer.set_tables(
            {k: v for k, v in together.get_tables().items() if k in layer.get_tables()}
        )
    before = together.get_tables()
    wanted, actual = trained(apart, optimizer), trained([together], optimizer)
    assert set(actual) == set(wanted) == set(before)
    for name, table in wanted.items():
        assert np.abs(table - before[name]).max() > 1e-3
        np.testing.assert_allclose(actual[name], table, atol=1e-6, err_msg=name)


def test_row_wise_adagrad_keeps_an_accumulator_for_each_set():
    layer = FieldEmbedding(TABLES, FIELDS, 4, ("token", "global"))
    layer(ids_of(0))
    optimizer = Split("row_wise_adagrad", "sgd")
    optimizer.build(layer.trainable_variables)
    (slot,) = optimizer.embeddings._accumulators
    assert slot.shape == (21, 2)


def test_sets_of_other_fields_lie_apart():
    layer = FieldEmbedding(TABLES, FIELDS, 4, {"token": None, "global": ["item"]})
    layer(ids_of(0))
    assert [tuple(v.shape) for v in layer.trainable_variables] == [(21, 4), (9, 4)]


def test_a_part_with_one_of_the_sets_reads_its_columns():
    layer = FieldEmbedding(TABLES, FIELDS, 4, {"token": None, "global": None}, {"global": 6})
    wanted = layer(ids_of(3))
    part = layer.restricted([f for f in layer.fields if f.name in ("item", "clicks")])
    actual = part(ids_of(3))
    np.testing.assert_array_equal(actual["token"], wanted["token"][:, 4:8])
    np.testing.assert_array_equal(actual["global"], wanted["global"][:, 6:12])
    np.testing.assert_array_equal(actual["global/clicks"], wanted["global/clicks"])


def test_the_regularizer_sees_every_set_by_itself():
    layer = FieldEmbedding(
        TABLES,
        FIELDS[:1],
        2,
        ("a", "b"),
        embeddings_regularizer=keras.regularizers.L2(0.5),
    )
    layer(np.array([[1], [2], [1]], np.int32))
    tables = layer.get_tables()
    losses = [float(loss) for loss in layer.losses]
    wanted = [0.5 * np.sum(tables[f"{name}/user"][[1, 2]] ** 2) for name in "ab"]
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
