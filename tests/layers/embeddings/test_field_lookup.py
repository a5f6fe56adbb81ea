"""Ids are checked before anything is looked up."""

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from tests.layers.embeddings.test_field_embedding import FIELDS, SETS, TABLES, make_ids


@pytest.mark.parametrize(("slot", "bad", "name"), [(4, 20, "item"), (2, -1, "genres")])
def test_ids_outside_their_table_name_the_feature(slot, bad, name):
    layer = FieldEmbedding(TABLES, FIELDS, 4, SETS)
    ids, weights = make_ids()
    ids[3, slot] = bad
    # TensorFlow escapes the quotes where the message passes through a graph.
    message = rf"feature \\?'{name}\\?'.*Received: {bad}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        layer(ids, weights)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(lambda i, w: layer(i, w))(ids, weights)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_ids_of_another_dtype_are_refused(dtype):
    layer = FieldEmbedding(TABLES, FIELDS, 4)
    ids, weights = make_ids()
    with pytest.raises(ValueError, match=rf"int32 or int64 `ids`.*user.*{np.dtype(dtype).name}"):
        layer(ids.astype(dtype), weights)


def test_too_few_slots_are_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, 15\)"):
        FieldEmbedding(TABLES, FIELDS, 4)(np.zeros((2, 14), np.int32))
