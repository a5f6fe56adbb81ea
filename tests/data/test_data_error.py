"""The error that says where the data is wrong."""

from rankup_keras.data import DataError


def test_the_place_comes_first():
    error = DataError("It is wrong.", "a.csv", line=3, column="price", value="x")
    assert str(error) == "a.csv, line 3, column 'price': It is wrong."
    assert isinstance(error, ValueError)
    assert str(DataError("It is wrong.")) == "It is wrong."
