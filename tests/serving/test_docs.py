"""The configuration that the documentation shows is the one that is generated."""

import pathlib
import re

from rankup_keras.serving import ServerConfig

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


def blocks(config, directory):
    """The files as the documentation shows them."""
    return "\n\n".join(
        f"`{name}`\n\n```\n{text}```" for name, text in config.files(directory).items()
    )


def test_the_files_are_as_shown(exported, monkeypatch):
    config = ServerConfig(exported.parent)
    config.path = pathlib.Path("/models/ranker")
    shown = DOCS.read_text().partition("<!-- generated -->\n\n")[2]
    shown = shown.partition("\n\n**The server listens")[0]
    assert shown == blocks(config, "/models/serving")
    assert re.search(r"base_path: \"/models/ranker\"", shown)
