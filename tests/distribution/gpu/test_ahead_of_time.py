"""The report, and XLA's compiler for GPUs where it is installed."""

import keras
import pytest
import tensorflow as tf

from rankup_keras import Categorical, Events, FeatureSet, RankUp
from rankup_keras.distribution import GPUReport, gpu_check
from rankup_keras.distribution.gpu import ahead_of_time
from rankup_keras.distribution.gpu.cards import card_of
from tests.distribution.ahead_of_time.test_training_step import Words, make_model

INSTALLED = ahead_of_time._installed("jax") and any(
    map(ahead_of_time._installed, ahead_of_time.PLUGINS)
)


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    """Neither the flags with which tests compile quickly, nor float32 in full: other products."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    tf.config.experimental.enable_tensor_float_32_execution(True)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(False)


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
    model = make_model()
    with pytest.raises(ValueError, match="batch_size=0"):
        gpu_check(model, 0)
    for size in (2.5, None, "64", True, (16,)):
        with pytest.raises(ValueError, match=r"must be an integer\. Received: batch_size="):
            gpu_check(model, size)
    with pytest.raises(ValueError, match="card='v100'"):
        gpu_check(model, 8, "v100")
    with pytest.raises(ValueError, match=r"Functional.* Received: model=None"):
        gpu_check(None, 8)
    subclass = Subclass()
    subclass.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"Functional.* Received: model=<Subclass"):
        gpu_check(subclass, 8)
    with pytest.raises(ValueError, match="must be compiled"):
        gpu_check(keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), 8)
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = make_model()
        with pytest.raises(ValueError, match="outside of the strategy's scope"):
            gpu_check(model, 8)


class Subclass(keras.Model):
    def call(self, x):
        return x


class Willful(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, x):
        return 2 * x


def test_a_step_that_fit_would_not_compile_says_so(monkeypatch):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(1)(Willful(name="willful")(x)))
    model.compile("adam", "mse")
    monkeypatch.setattr(ahead_of_time, "_installed", lambda name: True)
    found = {"arguments": 1, "outputs": 1, "aliased": 0, "temporary": 0, "code": 0}
    text = "ENTRY %main () -> f32[] {\n  ROOT %a = f32[] iota()\n}"
    monkeypatch.setattr(ahead_of_time, "compile_step", lambda *_: (found, text))
    report = gpu_check(model, 8)
    assert report.plain == ("willful",)
    assert "`fit` runs a plain graph: willful (`supports_jit`)" in str(report)
    assert gpu_check(make_model(), 8).plain == ()


@pytest.mark.parametrize("there", [(), ("jax",), ahead_of_time.PLUGINS])
def test_without_the_compiler_it_says_what_to_install(monkeypatch, there):
    monkeypatch.setattr(ahead_of_time, "_installed", there.__contains__)
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
    # Nothing of a step of `predict` is in the optimizer.
    model = make_model(dtype="mixed_bfloat16")
    model = type(model).from_config(model.get_config())
    found = gpu_check(model, 64, training=False)
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


@pytest.mark.processes
@pytest.mark.skipif(not INSTALLED, reason="needs the extra [gpu-check]")
@pytest.mark.parametrize("length", [50, 64])
def test_without_a_gpu_xla_finds_no_tiles_for_some_lengths(length):
    features = FeatureSet(
        [
            Categorical("item", num_ids=50),
            Events("events", ids={"seen": "item"}, max_length=length),
        ]
    )
    model = RankUp(features, ["y"], token_dim=64, sequence_encoder="din", dtype="mixed_bfloat16")
    if length == 64:
        assert gpu_check(model, 1024, training=False).fits
        return
    with pytest.raises(RuntimeError, match="`max_length` is a multiple of 16"):
        gpu_check(model, 1024, training=False)
