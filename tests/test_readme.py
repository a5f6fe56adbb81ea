"""The README's code runs as it stands, and what it makes reloads elsewhere with equal scores."""

import pathlib
import re
import textwrap

import keras
import numpy as np
import pandas as pd
import pytest

import rankup_keras
from tests.helpers.workers import run_code

pytestmark = pytest.mark.processes
README = pathlib.Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
ROWS = 1000


def make_rows(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    items = [f"ad {index}" for index in range(200)]
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 300, rows).astype(str),
            "ad_id": rng.choice(items, rows),
            "price": np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(size=rows)),
            "clicked_ads": [list(rng.choice(items, rng.integers(0, 60))) for _ in range(rows)],
            "click": rng.integers(0, 2, rows),
            "buy": rng.integers(0, 2, rows),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The README's example, run in a folder with its files."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    for name in ("train", "valid"):
        make_rows(rng, 500).to_parquet(folder / f"{name}.parquet")
    (example,) = (block for block in BLOCKS if "model.fit" in block)
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(example, str(README), "exec"), names)
    rows = make_rows(rng, ROWS)
    rows.loc[:4, "user_id"] = None
    rows.loc[5:9, "ad_id"] = "an ad that training never saw"
    rows["clicked_ads"] = [[] if i < 20 else v for i, v in enumerate(rows["clicked_ads"])]
    names["model"].save(folder / "model.keras")
    raw = {
        "user_id": rows["user_id"].fillna("").to_numpy(str),
        "ad_id": rows["ad_id"].to_numpy(str),
        "price": rows["price"].to_numpy(np.float32),
        "clicked_ads": padded(rows["clicked_ads"]),
    }
    np.savez(folder / "rows.npz", **raw)
    return folder, names["model"].predict(rows, verbose=0)


def padded(lists) -> np.ndarray:
    width = max(map(len, lists))
    return np.array([[*items, *[""] * (width - len(items))] for items in lists], dtype=str)


def run_elsewhere(code: str, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Runs code in a process of its own, which leaves its scores in `scores.npz`."""
    script = "import numpy as np\nrows = dict(np.load('rows.npz'))\n" + textwrap.dedent(code)
    run_code(script, folder)
    return dict(np.load(folder / "scores.npz"))


def assert_equal_scores(scores, expected):
    assert set(scores) == set(expected) == {"click", "buy"}
    for task, values in expected.items():
        assert values.shape == (ROWS, 1)
        assert np.ptp(values) > 1e-3, "rows with equal scores would hide a difference"
        np.testing.assert_allclose(scores[task].reshape(-1, 1), values, atol=1e-6, rtol=0)


def test_reloaded_model_in_a_process_that_imports_only_the_package(trained):
    folder, expected = trained
    scores = run_elsewhere(
        """
        import keras, rankup_keras
        model = keras.saving.load_model("model.keras")
        np.savez("scores.npz", **model.predict(rows, verbose=0))
        """,
        folder,
    )
    assert_equal_scores(scores, expected)


def test_export_in_a_process_that_does_not_import_the_package(trained):
    folder, expected = trained
    scores = run_elsewhere(
        """
        import sys, tensorflow as tf
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            meta = tf.compat.v1.saved_model.load(session, ["serve"], "saved_models/ads/1")
            signature = meta.signature_def["serving_default"]
            feed = {signature.inputs[name].name: value for name, value in rows.items()}
            fetch = {name: info.name for name, info in signature.outputs.items()}
            np.savez("scores.npz", **session.run(fetch, feed))
        assert "rankup_keras" not in sys.modules
        """,
        folder,
    )
    assert_equal_scores(scores, expected)


def test_the_client_gets_scores_of_the_export(trained):
    folder, _ = trained
    (example,) = (block for block in BLOCKS if "Client(" in block)
    names = {"rk": rankup_keras, "valid": pd.read_parquet(folder / "valid.parquet")}
    with rankup_keras.serving.DevelopmentServer(folder / "saved_models/ads") as server:
        code = example.replace("localhost:8500", f"localhost:{server.port}")
        exec(compile(code + "\nclient.close()", str(README), "exec"), names)
        with rankup_keras.serving.Client(f"localhost:{server.port}", model="ads") as client:
            scores = client.predict(names["valid"][:3])["click"]
    assert np.shape(scores)[0] == 3


def test_layers_example():
    names: dict = {}
    (example,) = (block for block in BLOCKS if "MixerBlock" in block)
    exec(compile(example, str(README), "exec"), names)
    assert isinstance(names["model"], keras.Model)
    assert names["model"](np.ones((2, 26 * 16), np.float32)).shape == (2, 1)
