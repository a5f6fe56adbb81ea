"""Names for the tensors of columns that are named as people name them."""

from rankup_keras.features.tensor_names import tensor_names

ODD = ("customer id", "城市", "class", "self", "_x", "a/b", "a\nb", "__saved_model_init_op", "😀")


def test_usual_names_stay_and_others_are_numbered():
    names = tensor_names(["user_id", *ODD, "column_1"])
    assert names["user_id"] == "user_id"
    assert names["column_1"] == "column_1"
    assert len(set(names.values())) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names.values())
