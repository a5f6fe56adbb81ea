"""Sections that are made from the signatures of classes."""

import pydantic
import pytest

import rankup_keras as rk
from rankup_keras.cli.settings import Config

CONTENT = {
    "data": {"path": "a.csv", "csv": {"delimiter": ";"}},
    "features": [{"type": "numeric", "name": "price", "normalize": "log"}],
    "tasks": ["click", {"name": "buy", "label": "bought"}],
}


def test_sections_make_objects_from_what_is_given():
    config = Config.model_validate(CONTENT)
    (feature,) = config.features
    assert isinstance(feature.make(), rk.Numeric)
    assert feature.make().normalize == "log"
    assert config.data.csv.make().delimiter == ";"
    assert [task.make().label for task in config.tasks] == ["click", "bought"]
    dumped = config.model_dump(mode="json")
    assert dumped["features"] == CONTENT["features"]
    assert dumped["training"]["batch_size"] == 1024
    assert Config.model_validate(dumped) == config


def test_a_preset_is_a_model_of_its_class():
    config = Config.model_validate({**CONTENT, "model": {"preset": "rankmixer_small"}})
    features = rk.FeatureSet([rk.Numeric("price"), rk.Categorical("ad", num_ids=4)])
    features.adapt({"price": [1.0, 2.0], "ad": [1, 2]})
    model = config.model.make(features, ["click"])
    assert isinstance(model, rk.RankMixer)
    assert config.model_dump()["model"] == {"preset": "rankmixer_small"}


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("model", {"type": "DLRM", "preset": "rankup_base"}, "not both"),
        ("model", {"preset": "rankup_bsae"}, "rankup_base"),
        ("data", {"path": "a", "csv": {"header": False}}, "must name the columns"),
        ("data", {"path": "a", "csv": {"type": "x"}}, "Extra inputs"),
        ("tasks", ["a/b"], "Name the column apart"),
        ("features", ["price"], "expected tags"),
    ],
)
def test_the_checks_of_the_classes_run(section, value, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        Config.model_validate({**CONTENT, section: value})
