import keras
import numpy as np
import pytest

from rankup_keras.models.arguments import settings_of
from rankup_keras.models.embedded_row import EmbeddedRow, order_by_group
from tests.models import small_rows


def test_fields_of_one_group_come_together_at_the_place_of_the_first():
    features = small_rows.features()
    names = ["user", "item", "city", "genres", "history", "price", "user_vector", "item_vector"]
    order = [names[place] for place in order_by_group(features, names)]
    assert order == [
        "user",
        "city",
        "item",
        "price",
        "genres",
        "history",
        "user_vector",
        "item_vector",
    ]


@pytest.fixture(scope="module")
def row():
    return EmbeddedRow(
        small_rows.features(),
        settings_of(
            {
                "name": "model",
                "embedding_dim": 4,
                "embedding_dropout": 0.0,
                "embeddings_initializer": "uniform",
                "embeddings_regularizer": None,
                "dtype": None,
            }
        ),
    )


def evaluate(row, tensor):
    model = keras.Model(row.inputs, tensor)
    encoded = row.features.encode(small_rows.raw_rows())
    return np.asarray(model({name: encoded[name] for name in row.inputs}))


def test_all_fields(row):
    fields = row.all_fields()
    assert fields.names == [
        *("user", "item", "city", "genres", "history"),
        *("price", "price"),
        *("user_vector", "item_vector"),
    ]
    assert fields.dims == [4] * 7 + [3, 3]
    assert fields.tensor.shape == (None, sum(fields.dims))
    assert row.pooled().names == fields.names[:5]


def test_fields_are_cut_where_they_lie(row):
    whole = evaluate(row, row.pooled().tensor)
    np.testing.assert_array_equal(evaluate(row, row.field("shared", "city")), whole[:, 8:12])


def test_a_feature_of_any_kind(row):
    raw = small_rows.raw_rows()
    np.testing.assert_array_equal(
        evaluate(row, row.feature("shared", "item_vector")), raw["item_vector"]
    )
    price = evaluate(row, row.feature("shared", "price"))
    assert price.shape == (small_rows.ROWS, 2)
    np.testing.assert_array_equal(price[:, 1], 0)
    assert row.feature("shared", "genres").shape == (None, 4)
    with pytest.raises(ValueError, match="holds no single-valued or multi-valued field 'history'"):
        row.feature("shared", "history")
