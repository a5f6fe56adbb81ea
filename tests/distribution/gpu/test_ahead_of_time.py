"""The report, and XLA's compiler for GPUs where it is installed."""

import keras
import pytest

from rankup_keras.distribution import GPUReport, gpu_check
from rankup_keras.distribution.gpu import ahead_of_time
from rankup_keras.distribution.gpu.cards import card_of
from tests.distribution.ahead_of_time.test_training_step import Words, make_model

INSTALLED = ahead_of_time._installed("jax") and any(
    map(ahead_of_time._installed, ahead_of_time.PLUGINS)
)


def test_kernels_run_one_after_the_other():
    card = card_of("h100")
    found = GPUReport(
        card,
        1000,
        fits=True,
        memory=2**30,
        kernels={"products": 2, "reductions": 3},
        bytes={"products": card.bandwidth / 4, "reductions": card.bandwidth / 2},
        model_flops=card.flops / 2,
        rate=card.flops,
    )
    assert found.seconds == pytest.approx(0.5 + 0.5)
    assert found.mfu == pytest.approx(0.5)
    assert found.bytes_outside == card.bandwidth / 2
    assert "1,000 rows a second, MFU 50%" in str(found)
    assert "XLA refuses AsString" in str(GPUReport(card, 1, False, refused=("AsString",)))
    assert "does not fit" in str(GPUReport(card, 1, False, memory=1e12))


def test_wrong_use():
    with pytest.raises(ValueError, match="batch_size=0"):
        gpu_check(make_model(), 0)
    with pytest.raises(ValueError, match="card='v100'"):
        gpu_check(make_model(), 8, "v100")


@pytest.mark.skipif(INSTALLED, reason="the compiler is installed")
def test_without_the_compiler_it_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'rankup-keras\[gpu-check\]'"):
        gpu_check(make_model(), 8)


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [gpu-check]")
def test_the_compiler_takes_the_step():
    found = gpu_check(make_model(dtype="mixed_bfloat16"), 64)
    assert found.fits
    assert found.outside == ("embeddings",)
    # Two products of the block and one of the tokens, each with two of its gradient.
    assert found.kernels["products"] >= 9
    assert found.kernels["reductions"] > 0
    assert 0 < found.bytes_outside < sum(found.bytes.values())
    assert 0 < found.mfu < 1


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [gpu-check]")
def test_a_norm_of_scoring_is_one_kernel():
    training = gpu_check(make_model(dtype="mixed_bfloat16"), 64)
    found = gpu_check(make_model(dtype="mixed_bfloat16"), 64, training=False)
    assert found.model_flops == training.model_flops / 3
    assert found.memory < training.memory
    assert found.kernels["products"] < training.kernels["products"] / 2
    # 5 with norms as Keras has them, whose statistics take kernels of their own.
    assert found.kernels["reductions"] == 3
    assert "scoring, 64 rows" in str(found)
    assert "training, 64 rows" in str(training)


@pytest.mark.skipif(not INSTALLED, reason="needs the extra [gpu-check]")
def test_refused_ops_are_named():
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(Words()(x)))
    model.compile("adam", "mse")
    assert gpu_check(model, 8).refused == ("AsString",)
