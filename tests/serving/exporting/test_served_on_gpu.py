"""What a server with a GPU would be given of an export's graph, counted without one."""

import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.kernels.program import made_for
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.signatures import _Functions
from tests.helpers.gpu_placement import ops_on_gpu, waits_for_gpu, written_ops

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
