"""The plan's bytes against the bytes that the built model really holds."""

import keras
import numpy as np
import pytest

from rankup_keras import optimizers
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers import embeddings

TABLES = [TableSpec("user", 3000), TableSpec("item", 200, 8)]
FIELDS = [
    FieldSpec("user", "user", 0),
    FieldSpec("item", "item", 1),
    FieldSpec("clicks", "item", 2, 3, "sequence"),
]


def make_layer():
    return embeddings.FieldEmbedding(
        TABLES, FIELDS, 16, table_sets={"token": None, "global": ["item"]}, widths={"global": 4}
    )


@pytest.mark.parametrize("name", ["sgd", "adagrad", "row_wise_adagrad", "ftrl", "lazy_adam"])
def test_bytes_are_those_of_the_built_variables(name):
    layer = make_layer()
    layer(np.zeros((2, 5), np.int32))
    split = optimizers.Split(embeddings=name)
    split.build(layer.trainable_variables)
    plan = embeddings.plan(layer, split)
    held = sum(v.numpy().nbytes for v in layer.trainable_variables)
    assert sum(t.table_bytes for t in plan.tables) == held
    slots = split.embeddings.variables[2:]  # after the iteration and the learning rate
    assert sum(t.state_bytes for t in plan.tables) == sum(v.numpy().nbytes for v in slots)


def test_tables_name_their_set_width_and_readers():
    plan = embeddings.plan(make_layer())
    seen = {(t.table_set, t.table): (t.rows, t.width, t.fields) for t in plan.tables}
    assert seen == {
        ("token", "user"): (3000, 16, ("user",)),
        ("token", "item"): (200, 8, ("item", "clicks")),
        ("global", "item"): (200, 4, ("item",)),
    }
    assert plan.total_bytes == 4 * (3000 * 16 + 200 * 8 + 200 * 4)


def test_plan_is_read_as_a_table():
    ids = keras.Input((5,), dtype="int32")
    layer = make_layer()
    rows = layer(ids)
    model = keras.Model(ids, keras.layers.Dense(1)(rows["global"]))
    model.compile(optimizers.Split("adagrad", "adam"))
    text = str(embeddings.plan(model))
    lines = text.splitlines()
    assert lines[0].split()[:4] == ["table", "set", "rows", "width"]
    assert lines[2].split()[:4] == ["user", "token", "3,000", "16"]
    assert "187.5 KiB  187.5 KiB  375.0 KiB  CPU:0" in lines[2]
    assert lines[-1].split()[:4] == ["total", "2", "sets", "3,400"]


def test_planning_allocates_nothing():
    layer = embeddings.FieldEmbedding(
        [TableSpec("user", 10**11)], [FieldSpec("user", "user", 0)], 16
    )
    assert "5.82 TiB" in str(embeddings.plan(layer))
    assert not layer.built


def test_nothing_to_plan():
    ids = keras.Input((5,))
    with pytest.raises(ValueError, match="no FieldEmbedding"):
        embeddings.plan(keras.Model(ids, keras.layers.Dense(1)(ids)))


def test_unknown_state_is_refused():
    with pytest.raises(ValueError, match="RMSprop"):
        embeddings.plan(make_layer(), "rmsprop")
