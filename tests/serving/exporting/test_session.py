import shutil

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving import SavedModelSession, SessionError, load_session
from rankup_keras.serving.exporting.writing import read_saved_model
from tests.helpers.workers import run_code
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
    with pytest.raises(ValueError, match=r"has the outputs .* Received: \['nothing'\]"):
        strings.run(row, outputs=["nothing"])


def test_signatures_are_read_as_tensorflow_reads_them(exported):
    with load_session(exported) as loaded:
        mine = loaded.signatures
    theirs = tf.saved_model.load(str(exported)).signatures
    assert set(mine) == set(theirs)
    for name, function in theirs.items():
        specs = function.structured_input_signature[1]
        # The file says that `rank` takes one user, which the graph's own shapes do not.
        users = {k for k, item in mine[name].inputs.items() if item.shape[0] == 1}
        assert len(users) == (6 if name == "rank" else 0)
        specs = {
            k: tf.TensorSpec([1, *item.shape[1:]], item.dtype, k) if k in users else item
            for k, item in specs.items()
        }
        assert mine[name].inputs == specs
        outputs = mine[name].outputs.items()
        assert {k: (v.dtype, v.shape) for k, v in outputs} == {
            k: (spec.dtype, spec.shape) for k, spec in function.structured_outputs.items()
        }


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"extra": [1]}, ValueError, r"Unknown: \['extra'\]"),
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
            name: np.zeros([1 if d is None else d for d in i.shape], i.dtype.as_numpy_dtype)
            for name, i in spec.inputs.items()
        }
        with pytest.raises(SessionError, match="Could not find variable"):
            loaded.run(zeros)


def test_broken_directories(tmp_path, exported):
    with pytest.raises(FileNotFoundError, match="version directory"):
        load_session(exported.parent)
    broken = tmp_path / "1"
    shutil.copytree(exported, broken)
    # A server loads an export that lost its variables, and then no request succeeds; the loader
    # into a session says so at once.
    (broken / "variables" / "variables.index").unlink()
    with pytest.raises(SessionError, match=r"cannot load .* not a valid checkpoint"):
        load_session(broken)
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(SessionError, match="cannot load"):
        load_session(broken)


def edited(path, place, edit):
    """A copy of an export whose graph was changed."""
    shutil.copytree(path, place)
    saved = read_saved_model(place)
    edit(saved.meta_graphs[0])
    (place / "saved_model.pb").write_bytes(saved.SerializeToString())
    return place


def lose_initializer(graph):
    del graph.signature_def["__saved_model_init_op"]
    graph.collection_def.pop("saved_model_main_op", None)


def lose_saver(graph):
    graph.ClearField("saver_def")


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lose_initializer, "Table not initialized"),
        (lose_saver, "Could not find variable"),
    ],
)
def test_what_a_server_meets_at_the_first_request(exported, tmp_path, edit, match):
    with load_session(edited(exported, tmp_path / "1", edit)) as loaded:
        with pytest.raises(SessionError, match=match) as caught:
            loaded.run(stand_in.make_rows(1))
        assert caught.value.code == tf.errors.FAILED_PRECONDITION


def name_a_tensor_that_is_not_there(graph):
    graph.signature_def["rank"].outputs["click"].name = "nothing:0"


def declare_another_dtype(graph):
    graph.signature_def["rank"].inputs["age"].dtype = tf.int64.as_datatype_enum


def use_an_unknown_op(graph):
    for function in graph.graph_def.library.function:
        function.node_def.add(name="new", op="NoSuchOp")


def place_on_a_gpu(graph):
    for node in graph.graph_def.node:
        node.device = "/device:GPU:0" if node.op.startswith("Stateful") else ""


def lose_functions(graph):
    del graph.graph_def.library.function[:]


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (name_a_tensor_that_is_not_there, "'nothing:0' refers to a Tensor which does not exist"),
        (declare_another_dtype, "age:0' as int64, the graph as .*float32"),
        (use_an_unknown_op, "NoSuchOp"),
        (place_on_a_gpu, "explicitly assigned to /device:GPU:0"),
        (lose_functions, "__inference_"),
    ],
)
def test_graphs_that_no_server_runs(exported, tmp_path, edit, match):
    with pytest.raises(SessionError, match=match):
        load_session(edited(exported, tmp_path / "1", edit))


@pytest.mark.parametrize("lost", ["assets/*", "variables/*.data*"])
def test_files_that_are_not_there(exported, tmp_path, lost):
    place = edited(exported, tmp_path / "1", lambda graph: None)
    for file in place.glob(lost):
        file.unlink()
    with pytest.raises(SessionError, match="No such file"):
        load_session(place)


@pytest.mark.parametrize("wrap", [tf.py_function, tf.numpy_function])
def test_python_that_only_this_process_has(tmp_path, wrap):
    """The graph runs here, where TensorFlow finds the function again, and in no server."""

    class Doubled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.ensure_shape(wrap(lambda v: v * 2, [x], tf.float32), (None,))}

    module = Doubled()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    with pytest.raises(SessionError, match="calls back into Python, which no server can"):
        load_session(tmp_path)


def test_other_tags(exported):
    with pytest.raises(SessionError, match=r"tags .*other.* could not be found"):
        SavedModelSession(exported, tags=("other",))


def test_closing_twice(exported):
    loaded = load_session(exported)
    loaded.close()
    loaded.close()


@pytest.mark.processes
def test_a_v1_session_without_the_package(model, exported, tmp_path):
    """The other way that a server's faults show: TensorFlow 1's loader in a Session.

    Once op by op, and once with XLA's clusters, as servers with GPUs are told to run it.
    """
    rows = stand_in.make_rows(6)
    texts = {name: np.char.encode(v.astype("U")) for name, v in rows.items() if v.dtype == object}
    np.savez(tmp_path / "rows.npz", **{**rows, **texts})
    code = """
import os, sys
os.environ["TF_XLA_FLAGS"] = "--tf_xla_cpu_global_jit"  # there are clusters on CPUs too
import numpy as np, tensorflow as tf
export, rows, *outs = sys.argv[1:]
rows = {k: v.astype(object) if v.dtype.kind == "S" else v for k, v in np.load(rows).items()}
for out, clusters in zip(outs, (False, True)):
    config, data = tf.compat.v1.ConfigProto(), tf.compat.v1.RunMetadata()
    if clusters:
        levels = tf.compat.v1.OptimizerOptions
        config.graph_options.optimizer_options.global_jit_level = levels.ON_2
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], export)
        signature = graph.signature_def["serving_default"]
        feed = {signature.inputs[k].name: v for k, v in rows.items()}
        wanted = {k: v.name for k, v in signature.outputs.items()}
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        np.savez(out, **session.run(wanted, feed, options, data))
    ops = {node.op for graph in data.partition_graphs for node in graph.node}
    assert ("_XlaRun" in ops) is clusters, ops
assert not any(name.startswith("rankup_keras") for name in sys.modules)
"""
    outs = ("plain.npz", "clusters.npz")
    run_code(code, tmp_path, exported, tmp_path / "rows.npz", *outs)
    for out in outs:
        got = np.load(tmp_path / out)
        for task, want in stand_in.predict(model, rows).items():
            np.testing.assert_allclose(got[task], want, atol=1e-6)
