import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving import SessionError, load_session
from rankup_keras.serving.exporting import session
from tests.serving import stand_in


@pytest.fixture(scope="module")
def strings(tmp_path_factory):
    """A SavedModel that gives strings of every storage form back, and every dtype."""

    class Echo(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None), tf.string, name="text"),
                tf.TensorSpec((None,), tf.bool, name="flag"),
                tf.TensorSpec((), tf.float64, name="number"),
            ]
        )
        def __call__(self, text, flag, number):
            return {
                "same": tf.identity(text),
                "joined": tf.strings.reduce_join(text, axis=1),
                "length": tf.strings.length(text),
                "flag": tf.logical_not(flag),
                "number": number * 2,
            }

    module = Echo()
    path = tmp_path_factory.mktemp("echo") / "1"
    tf.saved_model.save(module, str(path), signatures=module.__call__)
    with load_session(path) as loaded:
        yield loaded


def test_equals_the_model(model, exported):
    rows = stand_in.make_rows(100)
    with load_session(exported) as loaded:
        got = loaded.run(rows)
    for task, want in stand_in.predict(model, rows).items():
        np.testing.assert_allclose(got[task], want, atol=1e-6)


def test_strings_of_every_length_come_back(strings):
    text = np.array(
        [
            [b"", b"short"],
            [b"exactly twenty-two byt", b"exactly twenty-three by"],
            [b"nul \x00 inside", "größer ≥ ascii".encode()],
            [b"x" * 100_000, b"end"],
        ],
        object,
    )
    got = strings.run({"text": text, "flag": np.array([True, False]), "number": 1.5})
    assert got["same"].tolist() == text.tolist()
    assert got["joined"].tolist() == [a + b for a, b in text.tolist()]
    assert got["length"].tolist() == [[len(v) for v in row] for row in text.tolist()]
    assert got["flag"].tolist() == [False, True]
    assert got["number"].shape == ()
    assert got["number"] == 3.0


def test_empty_tensors(strings):
    got = strings.run({"text": np.empty((0, 3), object), "flag": np.zeros(0, bool), "number": 0.0})
    assert got["same"].shape == (0, 3)
    assert got["flag"].shape == (0,)


def test_only_the_outputs_asked_for(strings):
    row = {"text": [["a"]], "flag": [True], "number": 0.0}
    assert list(strings.run(row, outputs=["joined"])) == ["joined"]
    with pytest.raises(ValueError, match=r"gives the outputs .* Received: \['nothing'\]"):
        strings.run(row, outputs=["nothing"])


def test_signatures_are_read_as_tensorflow_reads_them(exported):
    with load_session(exported) as loaded:
        mine = loaded.signatures
    theirs = tf.saved_model.load(str(exported)).signatures
    assert set(mine) == set(theirs)
    for name, function in theirs.items():
        specs = function.structured_input_signature[1]
        assert {k: (v.dtype_name, v.shape) for k, v in mine[name].inputs.items()} == {
            k: (spec.dtype.name, tuple(spec.shape)) for k, spec in specs.items()
        }
        assert {k: v.shape for k, v in mine[name].outputs.items()} == {
            k: tuple(spec.shape) for k, spec in function.structured_outputs.items()
        }


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"extra": [1]}, ValueError, r"Not in the signature: \['extra'\]"),
        ({"city": None}, ValueError, r"Missing: \['city'\]"),
        ({"city": np.zeros(4, np.int32)}, TypeError, "'city' must be int64. Received: dtype=int32"),
        ({"item_id": np.zeros(4)}, TypeError, "'item_id' must be string. Received: dtype=float64"),
        (
            {"item_vector": np.zeros((4, 3), np.float32)},
            ValueError,
            r"'item_vector' must be float32 \[None",
        ),
        ({"history": np.array(["a"] * 4)}, ValueError, r"'history' .* Received: shape=\(4,\)"),
    ],
)
def test_wrong_columns_are_named(exported, change, error, match):
    rows = {k: v for k, v in {**stand_in.make_rows(4), **change}.items() if v is not None}
    with load_session(exported) as loaded, pytest.raises(error, match=match):
        loaded.run(rows)


def test_the_runtimes_own_words(exported):
    rows = stand_in.make_rows(4)
    rows["price"] = rows["price"][:3]
    with load_session(exported) as loaded:
        with pytest.raises(SessionError, match="as many rows as age") as caught:
            loaded.run(rows)
        assert caught.value.code == 3
        with pytest.raises(KeyError, match="serving_default"):
            loaded.run(rows, signature="absent")


def test_a_save_without_variables_fails_as_in_the_server(tmp_path):
    # The fault that Python's loader hides: Keras 3 models saved by tf.saved_model.save.
    model = stand_in.make_model()
    tf.saved_model.save(model, str(tmp_path / "1"))
    with load_session(tmp_path / "1") as loaded:
        spec = loaded.signature("serving_default")
        zeros = {
            name: np.zeros([1 if d is None else d for d in i.shape], session.DTYPES[i.dtype])
            for name, i in spec.inputs.items()
        }
        with pytest.raises(SessionError, match="Could not find variable"):
            loaded.run(zeros)


def test_broken_directories(tmp_path, exported):
    with pytest.raises(FileNotFoundError, match="version directory"):
        load_session(exported.parent)
    broken = tmp_path / "1"
    shutil.copytree(exported, broken)
    # As in the server, an export that lost its variables loads, and no request succeeds.
    (broken / "variables" / "variables.index").unlink()
    with load_session(broken) as loaded, pytest.raises(SessionError, match="not find variable"):
        loaded.run(stand_in.make_rows(1))
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(SessionError, match="cannot load"):
        load_session(broken)


def test_closing_twice(exported):
    loaded = load_session(exported)
    loaded.close()
    loaded.close()


@pytest.mark.processes
def test_a_process_without_the_package_or_tensorflow(exported, tmp_path):
    """The file alone, by its path: nothing of the package, nothing of TensorFlow's Python."""
    plain = {name: value.tolist() for name, value in stand_in.make_rows(5).items()}
    (tmp_path / "rows.json").write_text(json.dumps(plain))
    code = (
        "import runpy, sys; sys.argv[0] = sys.argv.pop(1)\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'rankup_keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, session.__file__, exported, "--rows", tmp_path / "rows.json"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
    )
    with load_session(exported) as loaded:
        for task, want in loaded.run(plain).items():
            np.testing.assert_allclose(json.loads(done.stdout)[task], want, atol=1e-6)


@pytest.mark.processes
def test_a_v1_session_without_the_package(model, exported, tmp_path):
    """The other way that a server's faults show: TensorFlow 1's loader in a Session."""
    rows = stand_in.make_rows(6)
    texts = {name: np.char.encode(v.astype("U")) for name, v in rows.items() if v.dtype == object}
    np.savez(tmp_path / "rows.npz", **{**rows, **texts})
    code = """
import sys, numpy as np, tensorflow as tf
export, rows, out = sys.argv[1:]
rows = {k: v.astype(object) if v.dtype.kind == "S" else v for k, v in np.load(rows).items()}
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    graph = tf.compat.v1.saved_model.load(session, ["serve"], export)
    signature = graph.signature_def["serving_default"]
    feed = {signature.inputs[k].name: v for k, v in rows.items()}
    np.savez(out, **session.run({k: v.name for k, v in signature.outputs.items()}, feed))
assert not any(name.startswith("rankup_keras") for name in sys.modules)
"""
    subprocess.run(
        [sys.executable, "-c", code, exported, tmp_path / "rows.npz", tmp_path / "out.npz"],
        timeout=100,
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    got = np.load(tmp_path / "out.npz")
    for task, want in stand_in.predict(model, rows).items():
        np.testing.assert_allclose(got[task], want, atol=1e-6)


def test_the_file_lists_signatures(exported, capsys):
    assert session._main([str(exported)]) == 0
    printed = capsys.readouterr().out
    assert "serving_default" in printed
    assert "<- history: string [None, None]" in printed
    assert "-> click: float32 [None]" in printed
    assert pathlib.Path(session.__file__).name == "session.py"
