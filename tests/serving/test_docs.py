"""The configuration that the documentation shows is the one that is generated."""

import pathlib
import re

from rankup_keras.serving import ServerConfig

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


def blocks(config, directory):
    """The files that the documentation shows, as it shows them."""
    files = config.files(directory)
    return "\n\n".join(f"`{n}`\n\n```\n{files[n]}```" for n in ("models.config", "serve.sh"))


def test_the_files_are_as_shown(exported, monkeypatch):
    config = ServerConfig(exported.parent, cores=8)
    config.path = pathlib.Path("/models/ranker")
    shown = DOCS.read_text().partition("<!-- generated -->\n\n")[2]
    shown = shown.partition("\n\n**The server listens")[0]
    assert shown == blocks(config, "/models/serving")
    assert re.search(r"base_path: \"/models/ranker\"", shown)
