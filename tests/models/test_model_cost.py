"""Costs against models that are really there, and against their graphs."""

import math
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models import cost
from rankup_keras.models.model_cost import measure
from rankup_keras.serving.exporting.precast_kernels import PrecastKernels
from tests.models import small_rows

LARGE = {"kind": "tokenmixer_large", "num_heads": 3}
LITE = {"kind": "unimixing", "bases": 2, "rank": 4}
TOP_K = {"kind": "sparse_moe", "num_experts": 4, "num_active": 2, "sparse": False}
MOE = {"kind": "moe", "num_experts": 3, "expansion": 1.5}

CONFIGURATIONS = {
    "RankMixer": [
        {"token_dim": 12, "num_tokens": 6},
        {"token_dim": 16, "num_tokens": 4, "num_blocks": 1, "expansion": 1.25, "ffn": "relu"},
        {"token_dim": 8, "ffn": "swiglu", "placement": "pre", "norm": "rms_norm"},
        {"token_dim": 8, "ffn": MOE, "pooling": "flatten", "tower_units": [5]},
        {"token_dim": 8, "ffn": {**MOE, "two_routers": True}, "num_blocks": 1},
        {"token_dim": 12, "num_tokens": 5, "mixing": {"kind": "mix_and_revert", "num_heads": 3}},
        {"token_dim": 6, "num_tokens": 3, "ffn": "glu", "norm": None},
        {"token_dim": 8, "mixing": LITE, "norm": "siamese", "num_tokens": 4, "num_blocks": 1},
        {"token_dim": 6, "mixing": "token_attention", "num_tokens": 5, "placement": "pre"},
        {"token_dim": 6, "mixing": "gram_mixing", "num_tokens": 5, "norm": "siamese_blocks"},
    ],
    "RankUp": [
        {"token_dim": 12},
        {"token_dim": 12, "ffn": MOE, "num_blocks": 1},
        {"token_dim": 18, "tokenizer": "semantic", "crosses": [["user_vector", "item_vector"]]},
        {"token_dim": 20, "interactions": [["user", "item"], ["city", "item"]], "expansion": 1},
        {"token_dim": 12, "global_func": {"kind": "dcnv2", "rank": 3}, "global_units": [7]},
        {"token_dim": 12, "global_func": "fm", "sequence_encoder": "attention"},
        {"token_dim": None, "task_tokens": False, "global_units": None, "final_norm": False},
        {"token_dim": 12, "multi_embedding": {"global": ["a", "b"], "sparse": ["a", "c"]}},
        {"token_dim": 10, "mixing": {"kind": "full_mixing", "form": "low_rank", "rank": 2}},
        {"token_dim": 12, "mixing": LARGE, "inter_residual": 1, "auxiliary_loss": 0.1},
        {"token_dim": 12, "mixing": "unimixing", "ffn": TOP_K, "num_blocks": 1},
        {"token_dim": 12, "mixing": {"kind": "token_attention", "num_tasks": 1}},
    ],
    "RankElastor": [
        {"token_dim": 6},
        {"token_dim": 6, "num_tokens": 5, "mixing": "kronecker", "num_blocks": 1},
        {"token_dim": 6, "mixing": "kronecker", "mixing_rank": 3, "expansion": 2},
        {"token_dim": 6, "mixing": "low_rank", "mixing_rank": 4},
        {"token_dim": 5, "form": "code", "hidden_units": [7]},
        {"token_dim": 6, "form": "code", "num_tokens": 3, "mixing": "low_rank"},
        {"token_dim": 6, "form": "code", "mixing": "kronecker", "hidden_units": [4, 3]},
    ],
    "DCNv2": [
        {},
        {"num_crosses": 3, "hidden_units": [9]},
        {"cross_rank": 3},
        {"cross_rank": 5, "num_crosses": 1, "hidden_units": []},
        {"embedding_dim": 3, "hidden_units": [8, 6, 4]},
        {"dropout": 0.1, "embedding_dropout": 0.2, "num_crosses": 0},
    ],
    "DLRM": [
        {},
        {"bottom_units": [], "top_units": [7]},
        {"bottom_units": [9, 5]},
        {"top_units": []},
        {"embedding_dim": 3},
        {"dropout": 0.1, "top_units": [8, 6, 4]},
    ],
}
CASES = [(name, i) for name, settings in CONFIGURATIONS.items() for i in range(len(settings))]


def counted_flops(model):
    """For one row: every matrix product that TensorFlow would run for inference."""
    spec = {
        name: tf.TensorSpec((1, *shape), dtype)
        for name, (shape, dtype) in model.features.encoded_spec().items()
    }
    held = PrecastKernels(model)

    def scores(x):
        # As an export has it: learned mixings are made once, not for every row.
        with held.scope():
            return model(x, training=False)

    traced = tf.function(scores, autograph=False).get_concrete_function(spec)
    return sum(map(product_flops, traced.graph.get_operations()))


def product_flops(operation):
    shapes = [tensor.shape.as_list() for tensor in operation.inputs if tensor.shape.rank]
    if operation.type == "Einsum":
        sizes = {}
        labels = operation.get_attr("equation").decode().split("->")[0].split(",")
        for names, shape in zip(labels, shapes, strict=True):
            sizes.update(zip(names, shape, strict=True))
        return 2 * math.prod(sizes.values())
    if operation.type not in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        return 0
    flips = ("transpose_a", "transpose_b") if operation.type == "MatMul" else ("adj_x", "adj_y")
    (*batch, rows, inner), (*other, _, columns) = (
        shape if not operation.get_attr(flip) else [*shape[:-2], shape[-1], shape[-2]]
        for shape, flip in zip(shapes, flips, strict=True)
    )
    return 2 * math.prod(np.broadcast_shapes(batch, other)) * rows * inner * columns


@pytest.mark.parametrize(("name", "number"), CASES, ids=[f"{n}-{i}" for n, i in CASES])
def test_parameters_and_flops_are_the_built_models(name, number):
    model_class, tasks = getattr(rk, name), ["click", "buy"]
    settings = {"embedding_dim": 4, **CONFIGURATIONS[name][number]}
    features = small_rows.features()
    found = cost(model_class, features, tasks, **settings)
    model = model_class(features, tasks, **settings)
    assert found.parameters == model.count_params()
    assert found.flops == counted_flops(model)
    assert found == measure(model)


def test_every_family_has_six_configurations_and_a_mixture_where_it_can():
    assert min(map(len, CONFIGURATIONS.values())) >= 6
    mixtures = {n for n, c in CONFIGURATIONS.items() if any("num_experts" in str(s) for s in c)}
    assert mixtures == {"RankMixer", "RankUp"}


def test_without_numbers_sequences_and_vectors():
    features = small_rows.features(None, False, False, False)
    for name in ("RankMixer", "DCNv2", "DLRM", "RankElastor"):
        found = cost(getattr(rk, name), features, ["click"], embedding_dim=4)
        model = getattr(rk, name)(features, ["click"], embedding_dim=4)
        assert (found.parameters, found.flops) == (model.count_params(), counted_flops(model))


def test_the_feature_set_stays_free():
    features = small_rows.features()
    cost(rk.RankUp, features, ["click"])
    features.adapt(small_rows.raw_rows(1))


def test_print_shows_every_part_and_the_total():
    found = cost(rk.RankMixer, small_rows.features(), ["click"], token_dim=8)
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines] == [
        "part",
        *(part.name for part in found.parts),
        "total",
    ]
    assert f"{found.parameters:,}" in lines[-1]
    assert len({len(line) for line in lines}) == 1


def test_the_closed_form_of_a_dense_block():
    """`T (2 k D^2 + k D + D) + 4 D` parameters and `4 k T D^2` operations a block."""
    D, T, L, k = 24, 6, 3, 2
    found = cost(
        rk.RankMixer,
        small_rows.features(),
        ["click"],
        token_dim=D,
        num_tokens=T,
        num_blocks=L,
        expansion=k,
    )
    assert found.block_parameters == L * (T * (2 * k * D**2 + k * D + D) + 4 * D)
    flops = sum(part.flops for part in found.parts if part.name.startswith("block_"))
    assert flops == L * 4 * k * T * D**2


MEASURE = """
import resource, sys
sys.path.insert(0, {root!r})
import rankup_keras as rk
from rankup_keras.models import PRESETS, cost
from tests.models import small_rows
features = small_rows.features()
wide = rk.FeatureSet([rk.Categorical(f"f{{i}}", hash_buckets=10) for i in range(40)]
                     + [rk.Categorical("item", hash_buckets=10),
                        *[rk.History(f"s{{i}}", of="item", max_length=2) for i in range(3)],
                        rk.Numeric("n")])
import numpy as np
wide.adapt({{"n": np.zeros(3, "float32")}})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, (model, settings) in PRESETS.items():
    if name.endswith(("0m", "8m", "4m", "1b", "moe")):
        tasks = [f"t{{i}}" for i in range(11)] if "rankup" in name else ["click"]
        found = cost(model, wide, tasks, **settings)
        print(name, found.block_parameters)
print("kilobytes", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.processes
def test_large_presets_have_the_published_sizes_and_cost_no_memory():
    """The 1B model's weights alone would be 4.4 GB."""
    root = str(pathlib.Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=root)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = dict(line.split() for line in run.stdout.splitlines())
    assert abs(int(found["rankmixer_100m"]) / 107e6 - 1) < 0.02
    assert abs(int(found["rankmixer_1b"]) / 1.1e9 - 1) < 0.02
    assert abs(int(found["rankup_100m"]) / 100e6 - 1) < 0.02
    ours = {"tokenmixer_large_500m": 500e6, "tokenmixer_large_4b_moe": 4e9}
    ours |= {"unimixer_lite_38m": 38e6, "unimixer_lite_84m": 84e6}
    for name, size in ours.items():
        assert abs(int(found[name]) / size - 1) < 0.03, name
    assert int(found["kilobytes"]) < 300_000


def test_dropout_and_keras_stay_as_they_were():
    """A sketch leaves no trace: a model built after it draws its own weights."""
    keras.utils.set_random_seed(0)
    cost(rk.RankUp, small_rows.features(), ["click"], dropout=0.1)
    model = rk.RankUp(small_rows.features(), ["click"], dropout=0.1)
    assert all(np.isfinite(np.asarray(w)).all() for w in model.weights)
    assert np.asarray(model.get_layer("tokenizer").projection.kernel).std() > 0
