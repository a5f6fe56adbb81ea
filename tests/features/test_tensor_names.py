"""Names for the tensors of columns that are named as people name them."""

from rankup_keras.features.tensor_names import tensor_names

ODD = ("customer id", "城市", "class", "self", "_x", "a/b", "a\nb", "__saved_model_init_op", "😀")
ODD += ("Show", "show")  # alike in a signature


def test_usual_names_stay_and_others_are_numbered():
    names = tensor_names(["user_id", *ODD, "Column_1"])
    assert names["user_id"] == "user_id"
    assert names["Column_1"] == "Column_1"
    assert names["Show"] == "Show"
    assert len({name.lower() for name in names.values()}) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names.values())
