"""Where the ids of features are, and which features one operation encodes."""

import rankup_keras as rk
from rankup_keras.features.layout import joint_encoding


def test_slots_of_hashed_single_values_come_first():
    features = rk.FeatureSet(
        [
            rk.Categorical("tags", num_ids=5, max_length=2),
            rk.Categorical("user", hash_buckets=9, num_hashes=2),
            rk.History("past", of="user", max_length=3),
            rk.Numeric("price", indicator=False),
            rk.Numeric("age"),
            rk.Pretrained("vector", dim=4),
        ]
    )
    starts = {field.name: (field.start, field.slots) for field in features.fields()}
    assert starts == {"user": (0, 2), "tags": (2, 2), "past": (4, 6)}
    assert features.numeric_names() == ["price", "age", "age:missing"]
    assert features.encoded_spec() == {
        "encoded_ids": ((10,), "int32"),
        "encoded_numeric": ((3,), "float32"),
        "encoded_vectors": ((4,), "float32"),
    }


def test_features_that_are_encoded_together():
    assert joint_encoding(rk.Categorical("a", hash_buckets=3)) == "hashed string"
    assert joint_encoding(rk.Categorical("a", num_ids=3)) == "integer"
    assert joint_encoding(rk.Categorical("a", num_ids=3, max_length=2)) is None
    assert joint_encoding(rk.Categorical("a")) is None
    assert joint_encoding(rk.Numeric("a")) is None
