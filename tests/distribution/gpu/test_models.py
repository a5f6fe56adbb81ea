"""XLA for GPUs compiles the steps of every model, mixing, network and encoder of events."""

import keras
import pytest
import tensorflow as tf

import rankup_keras as rk
from tests.distribution.gpu.test_ahead_of_time import INSTALLED

ROWS = 256


def fields(*others):
    return rk.FeatureSet(
        [
            *(rk.Categorical(f"field_{number}", num_ids=50) for number in range(4)),
            rk.Numeric("price", normalize=None),
            *others,
        ]
    )


def events():
    return rk.Events("events", ids={"seen": "field_0"}, max_length=64)


def up(**choice):
    return lambda: rk.RankUp(fields(), ["click", "buy"], token_dim=64, **choice)


def mixer(**choice):
    return lambda: rk.RankMixer(fields(), ["click", "buy"], token_dim=64, num_tokens=4, **choice)


def read(kind, **choice):
    return lambda: kind(fields(events()), ["click", "buy"], token_dim=64, **choice)


MODELS = {
    "RankUp": up(),
    "RankUp, rms_norm, residuals between blocks": up(
        norm="rms_norm", inter_residual=2, num_blocks=4, auxiliary_loss=0.1
    ),
    "RankUp, dropout and towers": up(dropout=0.1, embedding_dropout=0.1, tower_units=(16,)),
    "RankMixer": mixer(),
    "RankMixer, pre-norm": mixer(placement="pre", norm="siamese"),
    "RankElastor": lambda: rk.RankElastor(fields(), ["click"]),
    "DCNv2": lambda: rk.DCNv2(fields(), ["click"]),
    "DLRM": lambda: rk.DLRM(fields(), ["click"]),
    **{
        f"mixing {name}": up(mixing=name)
        for name in (
            "mix_and_revert",
            "tokenmixer_large",
            "unimixing",
            "token_attention",
            "gram_mixing",
        )
    },
    **{f"network {name}": mixer(ffn=name) for name in ("swiglu", "glu")},
    "network moe": mixer(ffn={"kind": "moe", "num_experts": 4}),
    "HyFormer": read(rk.HyFormer),
    "HyFormer, wide": read(rk.HyFormer, num_queries=4),
    "MixFormer": read(rk.MixFormer, norm="layer_norm"),
    **{
        f"events {name}": read(rk.RankUp, sequence_encoder=name)
        for name in ("mean", "din", "longer", "hstu", "transformer")
    },
}


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    keras.config.set_dtype_policy("mixed_bfloat16")
    tf.config.experimental.enable_tensor_float_32_execution(True)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [gpu-check]")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_step_compiles(name, training):
    model = MODELS[name]()
    model.compile(rk.optimizers.Split("adagrad", "adam"))
    found = rk.distribution.gpu_check(model, ROWS, training=training)
    assert not found.refused
    assert found.kernels["products"] > 0
    assert 0 < found.bytes_outside < 2e9
