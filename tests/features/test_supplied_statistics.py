"""What another engine learned, taken in place of `adapt`."""

import numpy as np
import pytest

import rankup_keras as rk


def _features():
    return rk.FeatureSet(
        [
            rk.Categorical("word"),
            rk.Categorical("number"),
            rk.Categorical("hashed", hash_buckets=3),
            rk.Numeric("price"),
            rk.Numeric("raw", normalize=None),
        ]
    )


def test_is_what_adapt_would_have_learned(tmp_path):
    data = {
        "word": ["b", "a", "b"], "number": [5, 5, 7], "hashed": ["x"] * 3,
        "price": [1.0, 2.0, 6.0], "raw": [0.0] * 3,
    }  # fmt: skip
    learned = _features().adapt(data)
    path = tmp_path / "word.txt"
    path.write_text("b\na\n")
    given = _features().set_statistics(
        vocabularies={"word": path, "number": [5, 7]},
        moments={"price": (3.0, np.std([1.0, 2.0, 6.0]))},
    )
    assert given.is_adapted
    wanted, found = learned.encode(data), given.encode(data)
    for name in wanted:
        np.testing.assert_allclose(wanted[name], found[name], rtol=1e-6)


def test_a_second_time_changes_what_encoding_gives():
    features = rk.FeatureSet([rk.Numeric("price", indicator=False)])
    features.set_statistics(moments={"price": (1.0, 1.0)})
    assert features.encode({"price": [3.0]})["encoded_numeric"].tolist() == [[2.0]]
    features.set_statistics(moments={"price": (1.0, 2.0)})
    assert features.encode({"price": [3.0]})["encoded_numeric"].tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vocabularies": {"hashed": ["a"]}}, "must name features that learn them: .*'hashed'"),
        ({"moments": {"raw": (0, 1)}}, r"must name features that learn them: \['price'\]"),
        ({"moments": {"price": (0, 0)}}, "a standard deviation above 0"),
        ({"moments": {"price": 3}}, "a standard deviation above 0"),
        ({"vocabularies": {"word": []}}, "must not be empty"),
        ({"vocabularies": {"word": ["a"]}, "dtypes": {"word": "int64"}}, "the type of its vocab"),
        ({"vocabularies": {"word": "no/such.txt"}}, "is not a file"),
        ({"dtypes": {"word": "string"}}, "must name features"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        _features().set_statistics(**given)


def test_not_after_a_model_was_built():
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)])
    features.set_statistics(moments={"a": (0, 1)})
    features.freeze("ads")
    with pytest.raises(RuntimeError, match="New statistics would change the tables of model 'ads'"):
        features.set_statistics(moments={"a": (0, 2)})


def test_ids_of_a_sequence_are_those_of_its_feature():
    import tensorflow as tf

    features = rk.FeatureSet(
        [
            rk.Categorical("item", vocabulary=["a", "b"]),
            rk.History("past", of="item", max_length=2),
        ]
    )
    values = tf.constant(["", "b", "x", "a"])
    assert features.ids("item", values).numpy().tolist() == [0, 3, 1, 2]
    assert features.ids("past", values).numpy().tolist() == [0, 3, 1, 2]
