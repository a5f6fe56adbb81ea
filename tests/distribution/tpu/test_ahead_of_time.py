"""The report, and the real compiler where it is installed."""

import importlib.util

import keras
import pytest

from rankup_keras.distribution.experimental import TPUReport, tpu_check
from rankup_keras.distribution.tpu.chips import CHIPS
from tests.distribution.ahead_of_time.test_training_step import make_model

INSTALLED = all(importlib.util.find_spec(name) for name in ("jax", "libtpu"))


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
    assert "4000.00 ms by memory: 250 rows per second, MFU at most 12%" in str(by_memory)
    assert "left out" not in str(by_memory)
    assert "SparseCore" in str(report(outside=("embeddings",)))
    assert "does not fit, 20.0 GiB of 16" in str(report(fits=False, hbm=20 * 2**30))
    assert "refuses AsString" in str(report(fits=False, refused=("AsString",)))


def test_wrong_use():
    model = make_model()
    with pytest.raises(ValueError, match="batch_size=0"):
        tpu_check(model, 0)
    with pytest.raises(ValueError, match="must be compiled"):
        tpu_check(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 8)


@pytest.mark.skipif(INSTALLED, reason="the compiler is installed")
def test_without_the_compiler_it_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'rankup-keras\[tpu\]'"):
        tpu_check(make_model(), 8)


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [tpu]")
@pytest.mark.parametrize("topology", ["v5e:2x2", "v6e:2x2"])
def test_the_compiler_takes_the_step(topology):
    found = tpu_check(make_model(dtype="mixed_bfloat16"), 64, topology)
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
    found = tpu_check(model, 2**19)
    assert not found.fits
    assert found.hbm > found.chip.memory
