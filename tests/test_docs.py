"""The site that `make docs` builds has every public name."""

import pathlib
import re

from tests.helpers.public_objects import public_objects

ROOT = pathlib.Path(__file__).parents[1]


def test_every_public_name_is_in_the_reference():
    text = "".join(page.read_text() for page in (ROOT / "docs/api").glob("*.md"))
    shown = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    public = {name.rpartition(".")[2] for name in public_objects()}
    assert public - shown == set()


def test_every_page_and_notebook_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r": (\S+\.(?:md|ipynb))$", text, re.MULTILINE)) - {"index.md"}
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    notebooks = {str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert named == pages | notebooks
