"""Every public class and function has an example in its docstring, and it runs as it stands."""

import importlib.util

import pytest

from tests.helpers.public_objects import example, public_objects

# What an example finds in its folder: name of the object → function of no arguments, called there.
SETUP: dict = {}
# What an example needs beyond the package's own dependencies; without it the example is skipped.
NEEDS = {"rankup_keras.distribution.experimental.tpu_check": "libtpu"}  # Google's TPU compiler

OBJECTS = public_objects()
EXAMPLES = {name: code for name, value in OBJECTS.items() if (code := example(value))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}, of the extra [tpu]")
    SETUP.get(name, lambda: None)()
    exec(compile(EXAMPLES[name], f"<example of {name}>", "exec"), {"__name__": "__main__"})


def test_every_public_object_has_an_example():
    assert sorted(set(OBJECTS) - set(EXAMPLES)) == []
