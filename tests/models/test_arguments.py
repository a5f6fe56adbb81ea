import json

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments

GIVEN = {
    "self": None,
    "features": None,
    "tasks": ["click"],
    "kwargs": {},
    "name": "model",
    "dtype": None,
    "embeddings_initializer": "uniform",
    "embeddings_regularizer": None,
}


def test_settings_are_resolved():
    settings = settings_of({**GIVEN, "width": 3})
    assert set(settings) == set(GIVEN) - {"self", "features", "tasks", "kwargs"} | {"width"}
    assert settings["dtype"] == keras.config.dtype_policy()
    assert isinstance(settings["embeddings_initializer"], keras.initializers.RandomUniform)


def test_config_is_json():
    settings = settings_of(
        {
            **GIVEN,
            "pairs": (("a", np.int64(3)),),
            "layer": keras.layers.Dense(3),
            "width": None,
            "dtype": "mixed_bfloat16",
        }
    )
    settings["layer"].build((None, 2))
    config = as_config(settings, width=8)
    assert json.loads(json.dumps(config)) == config
    assert config["pairs"] == [["a", 3]]
    assert (config["width"], config["dtype"]) == (8, "mixed_bfloat16")
    assert "name" not in config
    assert "build_config" not in config["layer"]
    assert config["layer"]["config"]["units"] == 3


@pytest.mark.parametrize("model", [rk.RankUp, rk.RankMixer, rk.RankElastor, rk.DLRM, rk.DCNv2])
def test_the_docstring_has_every_argument(model):
    settings = set(model.__init__.__code__.co_varnames[: model.__init__.__code__.co_argcount])
    for name in settings - {"self", "name"}:
        assert f"\n    {name}: " in model.__doc__
    assert "{shared}" not in model.__doc__


def test_shared_arguments_are_indented_as_the_others():
    @with_shared_arguments
    class Model:
        """A model.

        Args:
            own: int.
            {shared}
        """

    lines = Model.__doc__.splitlines()
    assert lines[3:5] == ["    own: int.", lines[4]]
    assert lines[4].startswith("    embedding_dim: int.")
    assert lines[5].startswith("        Defaults")


@pytest.mark.parametrize("model", [rk.RankUp, rk.RankMixer, rk.RankElastor, rk.DLRM, rk.DCNv2])
def test_a_misspelt_argument_is_refused(model):
    features = rk.FeatureSet([rk.Categorical("user", num_ids=9), rk.Categorical("item", num_ids=9)])
    with pytest.raises(
        TypeError, match=r"no argument 'embeding_dim'. Did you mean `embedding_dim`?"
    ):
        model(features, ["click"], embeding_dim=4)
    with pytest.raises(TypeError, match=r"no argument 'zzz'. Its arguments: .*'embedding_dim'"):
        model(features, ["click"], zzz=4)
    assert not model(features, ["click"], trainable=False).trainable_weights


@pytest.mark.parametrize("model", [rk.RankUp, rk.DCNv2])
def test_what_is_no_feature_set_is_refused(model):
    with pytest.raises(TypeError, match=r"`features` must be an adapted FeatureSet.*list"):
        model([rk.Categorical("user")], ["click"])
