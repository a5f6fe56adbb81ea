"""Values know their lines, and changes their place on the command line."""

import pytest

from rankup_keras.cli.failures import ConfigError
from rankup_keras.cli.yaml_file import YamlFile

TEXT = """\
defaults: &defaults
  epochs: 2
training:
  <<: *defaults
  seed: 1
features:
  - {type: numeric, name: price}
  - type: numeric
    name: age
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.yaml").write_text(TEXT)
    return tmp_path / "a.yaml"


def test_lines(path):
    file = YamlFile(path)
    assert file.content["training"] == {"epochs": 2, "seed": 1}
    assert file.line(("training", "seed")) == 5
    assert file.line(("features", 1, "name")) == 9
    assert file.line(("features", 1, "missing")) == 8
    assert file.line(("training", "epochs")) == 3  # merged in; its section is the nearest
    assert file.problem(("features", 1, "name"), "Bad.").place == f"{path}:9: features.age.name"


def test_changes(path):
    changes = ["features.age.normalize=log", "features.0.name=cost", "model.token_dim=8"]
    file = YamlFile(path, changes)
    assert file.content["features"][1]["normalize"] == "log"
    assert file.content["features"][0]["name"] == "cost"
    assert file.content["model"] == {"token_dim": 8}
    assert file.problem(("model", "token_dim"), "Bad.").place == "--set model.token_dim=8"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "It is empty"), ("- 1", "It is a list"), ("a: [1", "not valid YAML"), ("a: é", None)],
)
def test_what_is_not_a_configuration(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("utf-8" if message else "latin-1"))
    with pytest.raises(ConfigError, match=message or "cannot be read"):
        YamlFile(path)
    with pytest.raises(ConfigError, match="no such file"):
        YamlFile(tmp_path / "b.yaml")
