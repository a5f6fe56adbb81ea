"""`import rankup_keras` loads nothing, and yet Keras finds every registered class."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import rankup_keras as rk

# As in pyproject.toml: Keras's own variables have NumPy 1's form of `__array__`.
KERAS_WARNS = "ignore:__array__ implementation doesn:DeprecationWarning"
# Keras imports these two for wrappers and pictures, where they are; that takes seconds.
WITHOUT = "import sys; sys.modules.update(sklearn=None, matplotlib=None);"
ROOT = pathlib.Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "numpy", "pandas", "matplotlib", "pyarrow")
pytestmark = pytest.mark.processes


def run(code: str, folder: pathlib.Path = ROOT) -> str:
    """What a fresh process prints; warnings are errors there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", KERAS_WARNS, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> pathlib.Path:
    """The folder of a model that has registered features, layers, losses, metrics, optimizers."""
    folder = tmp_path_factory.mktemp("saved")
    columns = {
        "user": np.array(["a", "b"] * 8),
        "price": np.arange(16, dtype=np.float32),
        "click": np.array([0, 1] * 8),
    }
    features = rk.FeatureSet([rk.Categorical("user", dtype="string"), rk.Numeric("price")])
    features.adapt(columns)
    model = rk.RankMixer(features, [rk.Task("click")], token_dim=4, num_tokens=2, num_blocks=1)
    model.compile(
        rk.optimizers.Split(embeddings="adagrad", dense="adam"),
        metrics={"click": [rk.metrics.NormalizedEntropy()]},
    )
    model.fit(columns, batch_size=16, verbose=0)
    model.save(folder / "model.keras")
    return folder


@pytest.mark.parametrize(
    "first",
    [
        "import rankup_keras, keras",
        "import keras, rankup_keras",
        "from rankup_keras.features import FeatureSet; import keras",
        "import rankup_keras.layers.mixers.token_mixing, keras",
        "import rankup_keras.data.files, keras",
    ],
)
def test_a_model_reloads_whatever_is_imported_first(saved, first):
    code = f"{WITHOUT} {first}; print(type(keras.saving.load_model('model.keras')).__module__)"
    assert run(code, saved) == "rankup_keras.models.rankmixer\n"


def test_every_registered_class_is_known_to_keras():
    code = f"{WITHOUT} import rankup_keras, keras; print(*keras.saving.get_custom_objects())"
    known = set(run(code).split())
    package = rk.__path__[0]
    files = [path.read_text("utf-8").splitlines() for path in pathlib.Path(package).rglob("*.py")]
    registered = {
        lines[number + 1].split("(")[0].split(":")[0].removeprefix("class ")
        for lines in files
        for number, line in enumerate(lines)
        if line.startswith("@serializable")
    }
    assert len(registered) > 30
    assert {f"rankup_keras>{name}" for name in registered} <= known


def test_importing_the_package_loads_nothing_heavy():
    code = f"import rankup_keras as rk, sys; print(dir(rk), {{*{HEAVY}}} & {{*sys.modules}})"
    names, loaded = run(code).strip().split("] ")
    assert loaded == "set()"
    assert "'RankUp'" in names
    assert "'layers'" in names


def test_packages_list_and_find_what_they_export():
    assert {"RankUp", "Task", "export", "layers", "losses"} <= set(dir(rk))
    for name in dir(rk):
        assert getattr(rk, name) is not None
    assert rk.layers.TokenMixing is rk.layers.mixers.TokenMixing
    with pytest.raises(AttributeError, match="RankDown"):
        _ = rk.RankDown
    names: dict = {}
    exec("from rankup_keras import *", names)
    assert names["RankUp"] is rk.RankUp


def test_classes_keep_their_registered_names():
    name = keras.saving.get_registered_name(rk.RankUp)
    assert name == "rankup_keras>RankUp"


def test_a_history_answers_to_its_name_of_before():
    assert rk.Sequence is rk.History
    with pytest.raises(AttributeError):
        _ = rk.Sequences
