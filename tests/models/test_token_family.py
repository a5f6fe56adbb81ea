import pytest

from rankup_keras.models.token_family import TokenFamily, one_of


def test_one_of():
    assert one_of("encoder", "mean", ("mean", "max")) == "mean"
    with pytest.raises(ValueError, match=r"`encoder` must be one of \('mean',\). Received: 'gru'"):
        one_of("encoder", "gru", ("mean",))


def test_layers_are_numbered_where_a_family_reads_several_sets():
    family = TokenFamily(None, {})
    assert family.each_set() == [("", "")]
    family.sets = ["a"]
    assert family.each_set() == [("a", "")]
    family.sets = ["a", "b"]
    assert family.each_set() == [("a", "_1"), ("b", "_2")]
    assert family.count() == 2
