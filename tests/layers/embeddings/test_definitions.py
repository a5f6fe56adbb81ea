"""Tables, fields and table sets that do not belong together are named."""

import pytest

from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": []}, "`fields`"),
        ({"tables": [TableSpec("user", 3), TableSpec("user", 3)]}, "unique"),
        ({"fields": [FieldSpec("x", "nowhere", 0)]}, "'x' reads table 'nowhere'"),
        ({"fields": [FieldSpec("x", "user", 0, combiner="max")]}, "'x' must be one of"),
        ({"fields": [FieldSpec("x", "user", 0, 2)]}, "'x' needs"),
        ({"fields": [FieldSpec("x", "user", 0, hashes=0)]}, "`hashes` of field 'x'"),
        ({"tables": [TableSpec("user", 0)]}, "'user' needs at least one row"),
        ({"table_sets": 0}, "`table_sets`"),
        ({"table_sets": "shared"}, "`table_sets`"),
        ({"table_sets": {"a": ["nobody"]}}, "nobody"),
        ({"table_sets": {"a": []}}, "no fields"),
        ({"table_sets": ["a/b"]}, "'/'"),
        ({"widths": {"b": 3}}, "`widths`"),
        ({"embedding_dim": 0}, "`embedding_dim`"),
        ({"embeddings_initializer": "glorot_uniform"}, "number of rows"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"tables": [TableSpec("user", 3)], "fields": [FieldSpec("user", "user", 0)]}
    with pytest.raises(ValueError, match=message):
        FieldEmbedding(**(arguments | change))
