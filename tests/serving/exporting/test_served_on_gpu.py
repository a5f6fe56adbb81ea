"""What a server with a GPU would be given of an export's graph, counted without one."""

import collections
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.kernels.program import made_for
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.signatures import _Functions
from rankup_keras.serving.exporting.writing import read_saved_model
from tests.helpers.gpu_placement import ops_on_gpu, waits_for_gpu, written_ops
from tests.helpers.workers import Program

TOKENS = 8


ROWS = {f"c{i}": ["a", "b"] for i in range(TOKENS)}
ROWS |= {"price": [1.0, 2.0], "history": [["a"], ["b", "c"]]}


@pytest.fixture(scope="module")
def ranker():
    features = [rk.Categorical(f"c{i}", hash_buckets=9) for i in range(TOKENS)]
    features += [rk.Numeric("price"), rk.History("history", of="c0", max_length=12)]
    keras.utils.set_random_seed(0)
    return rk.RankMixer(
        rk.FeatureSet(features).adapt(ROWS), ["y"], num_tokens=TOKENS, token_dim=8, num_blocks=2
    )


def graphs(model, device, tmp_path):
    """The function of encoding, and that of the model, as an export traces them."""
    with made_for(device):
        functions = _Functions(ExportDescription(model, tmp_path / "m"))
        return [f.get_concrete_function() for f in (functions._encode, functions._scores)]


def test_a_gpu_is_given_the_layers_alone(ranker, tmp_path):
    encode, scores = graphs(ranker, "gpu", tmp_path)
    assert ops_on_gpu(encode.graph.get_operations()) == []
    given = scores.graph.get_operations()
    assert waits_for_gpu(given) == []
    of_cpu = ops_on_gpu(graphs(ranker, "cpu", tmp_path)[1].graph.get_operations())
    of_gpu = ops_on_gpu(given)
    # Two for a block, the tokens' and the tower's: no more with more tokens.
    assert of_gpu.count("BatchMatMulV2") + of_gpu.count("MatMul") == 6
    assert of_cpu.count("MatMul") == 2 * 2 * TOKENS
    assert 3 * len(of_gpu) < 2 * len(of_cpu)


def test_an_export_for_gpus_serves_on_cpus(ranker, tmp_path):
    with pytest.raises(ValueError, match="device='tpu'"):
        rk.export(ranker, tmp_path / "m", device="tpu")
    names = ["serving_default"]
    paths = [
        rk.export(ranker, tmp_path / device, warmup=ROWS, signatures=names, device=device)
        for device in ("gpu", "cpu")
    ]
    of_gpu, of_cpu = map(written_ops, paths)
    assert of_cpu.count("MatMul") >= 2 * 2 * TOKENS > 2 * of_gpu.count("MatMul")
    with rk.serving.load_session(paths[0]) as session:
        found = session.run(
            {name: np.asarray(ROWS[name]) for name in ROWS if name.startswith("c")}
            | {"price": np.float32(ROWS["price"])}
            | {"history": np.array([["a", *[""] * 11], ["b", "c", *[""] * 10]])}
        )
    np.testing.assert_allclose(found["y"], ranker.predict(ROWS, verbose=0)["y"][:, 0], atol=1e-6)


def nodes_of(saved):
    graph = saved.meta_graphs[0].graph_def
    return [node for part in (graph, *graph.library.function) for node in nodes_in(part)]


def nodes_in(part):
    return part.node if hasattr(part, "node") else part.node_def


def placed(path):
    """Scores by a session on two devices, which has the host's ops on the second; what is where."""
    saved = read_saved_model(path)
    for node in nodes_of(saved):
        if node.device:
            node.device = "/device:CPU:1"
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    config = tf.compat.v1.ConfigProto(device_count={"CPU": 2, "GPU": 0})
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        signature = loaded.signature_def["serving_default"]
        feeds = {signature.inputs[name].name: value for name, value in COLUMNS.items()}
        options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
        ran = tf.compat.v1.RunMetadata()
        scores = session.run(signature.outputs["click"].name, feeds, options, ran)
    ops = collections.defaultdict(set)
    for device in ran.step_stats.dev_stats:
        for node in device.node_stats:
            ops[device.device[-6:]].add(node.timeline_label.split(" = ")[-1].split("(")[0])
    return scores, ops


COLUMNS = {
    "item": np.array(["a", "b", "c", "d"]),
    "user": np.array(["x", "y", "x", "z"]),
    "price": np.float32([1.0, 2.0, 3.0, 4.0]),
    "history": np.array([["a", "c"], ["b", "c"], ["c", "d"], ["a", "d"]]),
}


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:.*saved_model.load:UserWarning")
@pytest.mark.parametrize(
    ("policy", "device", "tolerance"), [("float32", "cpu", 1e-6), ("mixed_bfloat16", "gpu", 0.02)]
)
def test_where_a_model_was_trained_does_not_matter(tmp_path, policy, device, tolerance):
    """The second of two CPUs stands for a GPU: a process with one CPU must not ask for it."""
    program = Program(
        pathlib.Path(__file__).with_name("on_second_device.py"), tmp_path / "m", policy, device
    )
    out, errors = program.communicate()
    assert program.poll() == 0, errors[-2000:]
    told = json.loads(out.splitlines()[-1])
    assert told["weights"] == [":CPU:1"]
    path = pathlib.Path(told["path"])
    nodes = nodes_of(read_saved_model(path))
    assert {node.device for node in nodes} == {"", "/device:CPU:0", "/device:CPU:*"}
    assert not any(node.op.startswith("Xla") for node in nodes)
    with rk.serving.load_session(path) as session:
        served = session.run(COLUMNS)["click"]
    np.testing.assert_allclose(served, told["scores"], atol=tolerance)
    # What is not bound to the host stays with its server's first device, weights too.
    shutil.copytree(path, tmp_path / "placed")
    scores, ops = placed(tmp_path / "placed")
    np.testing.assert_allclose(scores, served, atol=tolerance)
    assert {"ReadVariableOp", "ResourceGather"} <= ops[":CPU:0"]
    products = {op for op in ops[":CPU:0"] | ops[":CPU:1"] if "MatMul" in op}
    assert products <= ops[":CPU:0"]
    assert not {"ReadVariableOp", "ResourceGather", *products} & ops[":CPU:1"]
