"""Exports in half precision have their kernels cast already, and every variable once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.serving import export, load_session
from rankup_keras.serving.exporting.precast_kernels import PrecastKernels

ROWS = {"user": ["a", "b", "c"], "item": ["x", "y", "z"]}


@pytest.fixture
def model(request):
    keras.config.set_dtype_policy(request.param)
    features = rk.FeatureSet(
        [
            rk.Categorical("user", hash_buckets=50, side="user"),
            rk.Categorical("item", hash_buckets=50),
        ]
    )
    return rk.RankUp(features, ["click"], token_dim=32, num_blocks=1)


def in_checkpoint(path):
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    types = reader.get_variable_to_dtype_map()
    names = [name for name in types if name.endswith("VARIABLE_VALUE")]
    return [(types[name], tuple(reader.get_variable_to_shape_map()[name])) for name in names]


@pytest.mark.parametrize("model", ["mixed_bfloat16", "mixed_float16", "float32"], indirect=True)
def test_an_export_has_every_variable_once(model, tmp_path):
    path = export(model, tmp_path / "m", warmup=ROWS, batch_sizes=(1,))
    half = tf.as_dtype(model.dtype_policy.compute_dtype)
    wanted = []
    cast = {id(kernel) for kernel, _ in PrecastKernels(model).casts}
    for variable in model.variables:
        kind = half if id(variable) in cast else tf.float32
        wanted.append((kind, tuple(variable.shape)))
    assert sorted(map(str, in_checkpoint(path))) == sorted(map(str, wanted))
    assert sum(kind == half for kind, _ in wanted) >= 4


@pytest.mark.parametrize("model", ["mixed_bfloat16"], indirect=True)
def test_no_request_casts_a_kernel(model, tmp_path):
    path = export(model, tmp_path / "m", warmup=ROWS, batch_sizes=(1,))
    kernels = {tuple(cast.shape) for cast, _ in PrecastKernels(model).casts}
    assert len(kernels) >= 3
    loaded = tf.saved_model.load(str(path))
    for name in ("serving_default", "rank", "embed"):
        graphs = [loaded.signatures[name].graph]
        seen = 0
        while graphs:
            graph = graphs.pop()
            graphs += [f.graph for f in graph._functions.values() if hasattr(f, "graph")]
            casts = [op for op in graph.get_operations() if op.type == "Cast"]
            seen += len(graph.get_operations())
            assert not [op for op in casts if tuple(op.inputs[0].shape) in kernels]
        assert seen > 10


@pytest.mark.parametrize("model", ["mixed_bfloat16"], indirect=True)
def test_the_model_is_left_as_it_was(model):
    encoded = model.features.encode(ROWS)
    before = model(encoded)["click"]
    precast = PrecastKernels(model)
    with precast.scope():
        inside = model(encoded)["click"]
    np.testing.assert_array_equal(inside, before)
    for variable in model.trainable_variables:
        assert variable.dtype == "float32"
        variable.assign(variable + 0.1)
    after = model(encoded)["click"]
    assert np.abs(after - before).max() > 0
    # The casts are of the weights as they were.
    with precast.scope():
        kept = model(encoded)["click"]
    assert np.abs(kept - after).max() > 0


@pytest.mark.parametrize("model", ["mixed_bfloat16"], indirect=True)
def test_an_export_answers_as_the_model(model, tmp_path):
    path = export(model, tmp_path / "m", warmup=ROWS, batch_sizes=(1,))
    want = model.predict(ROWS, verbose=0)["click"].reshape(-1)
    with load_session(path) as session:
        got = session.run({name: np.array(values, object) for name, values in ROWS.items()})
    np.testing.assert_allclose(got["click"], want, atol=5e-3)


def test_a_learned_mixing_is_exported_finished(tmp_path):
    features = rk.FeatureSet([rk.Categorical(n, hash_buckets=50) for n in ("user", "item")])
    settings = {"mixing": {"kind": "unimixing", "bases": 2, "rank": 4}, "norm": "siamese"}
    model = rk.RankMixer(features, ["click"], 8, 2, num_blocks=1, **settings)
    path = export(model, tmp_path / "m", warmup=ROWS, batch_sizes=(1,))
    shapes = [shape for _, shape in in_checkpoint(path)]
    # G (4, 4) and B (4, 4, 4) are there, and nothing that they are made of.
    assert shapes.count((4, 4)) == shapes.count((4, 4, 4)) == 1
    assert not {(2, 16), (4, 2)} & set(shapes)
    loaded = tf.saved_model.load(str(path))
    graphs, kinds = [loaded.signatures["serving_default"].graph], set()
    while graphs:
        graph = graphs.pop()
        graphs += [f.graph for f in graph._functions.values() if hasattr(f, "graph")]
        kinds |= {op.type for op in graph.get_operations()}
    assert not kinds & {"Exp", "Log"}
    # The model itself still learns.
    layer = model.get_layer("block_1_mixer_streams").layer
    before = np.array(layer.matrices()[1])
    layer.tau.assign(0.1)
    assert np.abs(np.array(layer.matrices()[1]) - before).max() > 0.01
