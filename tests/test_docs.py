"""The site that `make docs` builds has every public name; what guides name is there."""

import ast
import importlib
import json
import operator
import pathlib
import re

import pytest
import typer

import rankup_keras
from rankup_keras.cli import commands
from tests.helpers.public_objects import public_objects

ROOT = pathlib.Path(__file__).parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(commands.app).commands


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


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_what_a_guide_names_is_there(guide):
    text = guide.read_text()
    found = set(re.findall(r"`(rk(?:\.\w+)+)", text))
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("rk."):
                found.add(ast.unparse(node))
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rankup_keras"):
                for name in node.names:
                    assert hasattr(importlib.import_module(node.module), name.name)
    for name in found:
        # Up to a call or an index, whose results are not known here.
        path = re.match(r"rk\.(\w+(?:\.\w+)*)", name)[1]
        operator.attrgetter(path)(rankup_keras)
    for module in re.findall(r"python -m ((?:rankup_keras|benchmarks|tests)[\w.]*)", text):
        file = ROOT / module.replace(".", "/")
        assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file(), module
    for line in re.findall(r"rankup-keras ([a-z][^\n`#|;]*)", text):
        name, *words = line.split()
        known = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)}
        options = {word.rstrip(".,):") for word in words if word.startswith("-")}
        assert options <= known | {"--help"}, line


def test_notebooks_link_to_what_is_there():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "markdown":
                text = "".join(cell["source"])
                for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
                    assert (path.parent / target).is_file(), (path.name, target)
