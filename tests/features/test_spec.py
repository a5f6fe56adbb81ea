"""What preprocessing promises to the embedding stage."""

from rankup_keras.features import FieldSpec, TableSpec


def test_specs_are_rebuilt_from_their_configs():
    field = FieldSpec("tags", "tag", 3, length=4, kind="bag", combiner="sum", hashes=2)
    assert field.slots == 8
    assert FieldSpec(**field.get_config()) == field
    table = TableSpec("tag", 10, dim=4)
    assert TableSpec(**table.get_config()) == table
