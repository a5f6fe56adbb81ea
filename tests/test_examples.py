"""Every public class and function has an example in its docstring, and it runs as it stands."""

import pytest

from tests.helpers.public_objects import example, public_objects

# What an example finds in its folder: name of the object → function of no arguments, called there.
SETUP: dict = {}

OBJECTS = public_objects()
EXAMPLES = {name: code for name, value in OBJECTS.items() if (code := example(value))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SETUP.get(name, lambda: None)()
    exec(compile(EXAMPLES[name], f"<example of {name}>", "exec"), {"__name__": "__main__"})


def test_every_public_object_has_an_example():
    assert sorted(set(OBJECTS) - set(EXAMPLES)) == []
