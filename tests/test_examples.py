"""Every public class and function has an example in its docstring, and it runs as it stands."""

import importlib.util
import pathlib

import pytest

from tests.helpers import movielens, public_sets
from tests.helpers.public_objects import example, public_objects

# What an example needs beyond the package's own dependencies; without it the example is skipped.
# Compilers for hardware that is not there.
NEEDS = {
    "rankup_keras.distribution.experimental.tpu_check": "libtpu",
    "rankup_keras.distribution.gpu_check": "jax_cuda12_plugin",
}
# What an example finds in its folder: name of the object → function of no arguments, called there.
# It may give a patch to undo at the end.
HERE = pathlib.Path()
SETUP: dict = {
    **{
        f"rankup_keras.data.{name}": lambda: public_sets.write_logs(HERE)
        for name in (
            "BadRows", "Between", "CsvOptions", "Files", "OneOf", "Share", "Statistics", "adapt",
            "recall", "scan",
        )
    },
    "rankup_keras.datasets.PublicSet": lambda: public_sets.write_criteo(HERE / "train.txt"),
    "rankup_keras.datasets.ali_ccp": lambda: public_sets.write_ali_ccp(HERE / "ali-ccp"),
    "rankup_keras.datasets.avazu": lambda: public_sets.write_avazu(HERE / "train.csv"),
    "rankup_keras.datasets.criteo": lambda: public_sets.write_criteo(HERE / "train.txt"),
    "rankup_keras.datasets.frappe": lambda: public_sets.write_frappe(HERE / "frappe"),
    "rankup_keras.datasets.kuairand": lambda: public_sets.write_kuairand(HERE / "KuaiRand-Pure"),
    "rankup_keras.datasets.movielens_100k": movielens.tiny_100k,
    "rankup_keras.datasets.movielens_1m": lambda: public_sets.write_movielens_1m(HERE / "ml-1m"),
    "rankup_keras.datasets.movielens_20m": lambda: public_sets.write_movielens_20m(HERE / "ml-20m"),
    "rankup_keras.datasets.movielens_32m": lambda: public_sets.write_movielens_20m(HERE / "ml-32m"),
}  # fmt: skip

pytestmark = pytest.mark.long
OBJECTS = public_objects()
EXAMPLES = {name: code for name, value in OBJECTS.items() if (code := example(value))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}, of an extra")
    undo = SETUP.get(name, lambda: None)()
    try:
        exec(compile(EXAMPLES[name], f"<example of {name}>", "exec"), {"__name__": "__main__"})
    finally:
        if hasattr(undo, "stop"):
            undo.stop()


def test_every_public_object_has_an_example():
    assert sorted(set(OBJECTS) - set(EXAMPLES)) == []
