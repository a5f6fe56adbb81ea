import importlib.util

import keras
import pytest
import tensorflow as tf

from rankup_keras import (
    Categorical,
    FeatureSet,
    History,
    Numeric,
    RankMixer,
    distribution,
    optimizers,
)
from rankup_keras.distribution.tpu.ahead_of_time import TPUReport
from rankup_keras.distribution.tpu.chips import CHIPS, chip_of
from rankup_keras.distribution.tpu.training_step import RefusedOpsError, dense_part, lower

INSTALLED = all(importlib.util.find_spec(name) for name in ("jax", "libtpu"))


def make_model(**arguments):
    features = FeatureSet(
        [
            Categorical("item", hash_buckets=50, embedding_dim=8),
            Categorical("user", hash_buckets=50, embedding_dim=8),
            History("history", of="item", max_length=3),
            Numeric("price", normalize=None),
        ]
    )
    model = RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1, **arguments)
    model.compile(optimizers.Split("adagrad", "adam"))
    return model


def test_chips_by_topology():
    assert chip_of("v5e:2x2").memory == 16 * 2**30
    assert chip_of("v5p:2x2x1") is CHIPS["v5p"]
    for wrong in ("v5e", "v5e:", "v5e:four", "v9:2x2", ""):
        with pytest.raises(ValueError, match="`topology` must be one of"):
            chip_of(wrong)


def test_what_stands_behind_the_tables_computes_the_same():
    model = make_model()
    part = dense_part(model)
    assert part.tables == ["embeddings"]
    rows = {
        "item": ["a", "b"],
        "user": ["c", "d"],
        "history": [["a", "b", "c"], ["b", "", ""]],
        "price": [1.0, 2.0],
    }
    encoded = model.encode({name: tf.constant(values) for name, values in rows.items()})
    vectors = keras.tree.flatten(model.get_layer("embeddings")(encoded["encoded_ids"]))
    assert part.vectors == len(vectors) == 2
    rest = [tf.constant(encoded[tensor.name]) for tensor in part.network.inputs[part.vectors :]]
    # The ids are still read: they say where a sequence ends.
    assert len(rest) == 2
    found = part.network([*vectors, *rest])["click"]
    expected = model(encoded)["click"]
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    names = {weight.path for weight in part.network.trainable_variables}
    assert len(names) == len(model.trainable_variables) - 1


def test_a_model_without_tables_is_taken_whole():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    part = dense_part(model)
    assert part.network is model
    assert (part.vectors, part.tables) == (0, [])


def test_the_step_is_lowered_with_its_update():
    model = make_model(dtype="mixed_bfloat16")
    hlo = lower(model, dense_part(model), 16)
    # Adam's kernel, the products in bfloat16 and one module.
    assert len(hlo) > 10_000
    assert model.optimizer.iterations.numpy() == 0


class Words(keras.layers.Layer):
    def call(self, x):
        return x * tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)


def test_ops_that_a_tpu_refuses_are_named():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(Words()(x)))
    model.compile("adam", "mse")
    with pytest.raises(RefusedOpsError, match="AsString") as caught:
        lower(model, dense_part(model), 8)
    assert caught.value.ops == ["AsString"]


def report(**changes):
    values = {
        "topology": "v5e:2x2",
        "batch_size": 1000,
        "chip": CHIPS["v5e"],
        "fits": True,
        "hbm": 2 * 2**30,
        "flops": 197e12,
        "model_flops": 197e12 / 2,
        "bytes": 819e9 / 2,
    }
    return TPUReport(**{**values, **changes})


def test_bounds():
    by_compute = report()
    assert (by_compute.seconds, by_compute.limit) == (1.0, "compute")
    assert by_compute.mfu == pytest.approx(0.5)
    by_memory = report(bytes=819e9 * 4)
    assert (by_memory.seconds, by_memory.limit) == (4.0, "memory")
    assert by_memory.mfu == pytest.approx(0.125)
    assert "4000.00 ms by memory: 250 rows a second, MFU at most 12%" in str(by_memory)
    assert "not in it" not in str(by_memory)
    assert "SparseCore" in str(report(outside=("embeddings",)))
    assert "does not fit, 20.0 GiB of 16" in str(report(fits=False, hbm=20 * 2**30))
    assert "refuses AsString" in str(report(fits=False, refused=("AsString",)))


def test_wrong_use():
    model = make_model()
    with pytest.raises(ValueError, match="batch_size=0"):
        distribution.tpu_check(model, 0)
    with pytest.raises(ValueError, match="must be compiled"):
        distribution.tpu_check(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 8)


@pytest.mark.skipif(INSTALLED, reason="the compiler is installed")
def test_without_the_compiler_it_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'rankup-keras\[tpu\]'"):
        distribution.tpu_check(make_model(), 8)


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [tpu]")
@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
def test_the_compiler_takes_the_step(topology):
    found = distribution.tpu_check(make_model(dtype="mixed_bfloat16"), 64, topology)
    assert found.fits
    assert not found.refused
    assert found.outside == ("embeddings",)
    assert 0 < found.hbm < 2**28
    assert found.flops > found.model_flops * 0.5 > 0
    assert 0 < found.mfu < 1


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [tpu]")
def test_a_batch_too_large_does_not_fit():
    model = keras.Sequential([keras.Input((8192,)), keras.layers.Dense(8192, "relu")])
    model.compile("adam", "mse")
    found = distribution.tpu_check(model, 2**19)
    assert not found.fits
    assert found.hbm > found.chip.memory
