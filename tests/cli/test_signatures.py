"""What is read from the source is what importing the classes says."""

import inspect
import operator
import re
import typing

import pytest

import rankup_keras as rk
from rankup_keras.cli import signatures
from rankup_keras.cli.settings import FEATURES, MODELS
from rankup_keras.models import PRESETS


def _shown(hint):
    # A class of Keras is an empty one of its name.
    return re.sub(r"[\w.]*\bLayer\b", "Layer", str(hint))


@pytest.mark.parametrize("name", [*FEATURES, *MODELS, "Task", "data.CsvOptions"])
def test_arguments_are_those_of_the_constructor(name):
    owner = operator.attrgetter(name)(rk)
    hints = typing.get_type_hints(owner.__init__)
    wanted = {
        key: (_shown(hints[key]), parameter.default is parameter.empty)
        for key, parameter in inspect.signature(owner).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    found = signatures.arguments_of(name)
    # The features and tasks of a model are not read from a file.
    for key in ("features", "tasks"):
        assert (key in wanted) == (key in found) == (name in MODELS)
        wanted.pop(key, None)
        found.pop(key, None)
    assert {key: (_shown(kind), default is ...) for key, (kind, default) in found.items()} == wanted


def test_defaults_are_literals():
    found = signatures.arguments_of("Categorical")
    assert found["max_length"] == (int | None, None)
    assert found["combiner"][1] == "mean"
    assert found["name"][1] is ...


def test_presets_are_of_their_models():
    assert signatures.presets() == {name: model.__name__ for name, (model, _) in PRESETS.items()}


def test_what_is_not_there():
    with pytest.raises(LookupError, match="'Categorial'"):
        signatures.arguments_of("Categorial")
