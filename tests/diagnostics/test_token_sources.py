"""What the tokens of models are made of."""

import keras

import rankup_keras as rk
from rankup_keras.diagnostics.token_sources import token_sources
from tests.models import tiny


def test_families_and_fields_of_rankup():
    sources = token_sources(tiny.make_rankup(multi_embedding=False))
    families = list(dict.fromkeys(family for family, _ in sources))
    assert families == ["sparse", "global", "dense", "sequence", "crossed", "task"]
    fields = [field for family, text in sources if family == "sparse" for field in text.split(", ")]
    assert sorted(fields) == ["genres", "item", "user"]
    assert dict(sources)["dense"] == "price, age"
    assert sources[-2:] == [("task", "click"), ("task", "buy")]


def test_as_many_as_enter_the_first_block():
    for make in tiny.MAKERS.values():
        model = make()
        assert len(token_sources(model)) == model.get_layer("tokens").output.shape[1]


def test_models_without_an_assembly_have_none():
    x = keras.Input((4, 8))
    assert token_sources(keras.Model(x, keras.layers.Dense(2)(x))) == []
    assert rk.callbacks.EffectiveRank(x).tokens == []
