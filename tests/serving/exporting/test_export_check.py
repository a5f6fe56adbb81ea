import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.compat.xla import optimization_barrier
from rankup_keras.serving import ExportError, export, load_session
from rankup_keras.serving.exporting import export_check, session, warmup
from rankup_keras.serving.exporting.description import ExportDescription
from tests.serving import stand_in

FEW = {"signatures": ["serving_default"]}


@keras.saving.register_keras_serializable("tests")
class Forced(keras.layers.Layer):
    """Runs only where XLA compiles."""

    def call(self, x):
        return tf.function(lambda x: tf.tanh(x) * 2, jit_compile=True)(x)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("tests")
class Barrier(keras.layers.Layer):
    """Has an op that XLA alone knows."""

    def call(self, x):
        return optimization_barrier(x)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("tests")
class Drifting(keras.layers.Layer):
    """Gives another answer at every call, so a copy of it is never right."""

    def call(self, x):
        return x + tf.random.uniform(tf.shape(x))

    def compute_output_shape(self, shape):
        return shape


@pytest.fixture(scope="module")
def loaded(exported):
    with load_session(exported) as session:
        yield session


def published(path):
    return sorted(os.listdir(path)) if path.exists() else []


def test_an_xla_only_op_is_not_published(tmp_path):
    with pytest.raises(ExportError, match="jit_compile=True") as caught:
        export(stand_in.make_small(layer=Forced()), tmp_path / "m", **FEW)
    assert len(caught.value.problems) == 1
    assert published(tmp_path / "m") == []


def test_an_op_of_xla_is_not_published(tmp_path):
    """Where XLA may compile, as in this process, it runs; in a server it need not be allowed to."""
    with pytest.raises(ExportError, match=r"\['XlaOptimizationBarrier'\]") as caught:
        export(stand_in.make_small(layer=Barrier()), tmp_path / "m", **FEW)
    assert len(caught.value.problems) == 1
    assert published(tmp_path / "m") == []


def test_an_export_that_differs_is_not_published(tmp_path):
    with pytest.raises(ExportError, match=r"'click' .* differs from the model by up to"):
        export(
            stand_in.make_small(layer=Drifting()),
            tmp_path / "m",
            warmup=stand_in.small_rows(5),
            **FEW,
        )
    assert published(tmp_path / "m") == []


def test_the_tolerance_is_the_callers(tmp_path):
    path = export(stand_in.make_small(layer=Drifting()), tmp_path / "m", tolerance=1.0, **FEW)
    assert published(path.parent) == ["1"]


def test_half_precision_has_its_own_tolerance(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    path = export(stand_in.make_small(), tmp_path / "m", warmup=stand_in.small_rows(50), **FEW)
    with load_session(path) as loaded:
        assert loaded.signatures["serving_default"].outputs["click"].dtype == tf.float32


def score_problems(loaded, model, rows):
    return list(export_check.score_problems(loaded, ExportDescription(model, "nowhere"), rows))


def test_weights_that_change_are_seen(model, loaded):
    rows = stand_in.make_rows(20)
    assert score_problems(loaded, model, rows) == []
    problems = score_problems(loaded, stand_in.make_model(seed=5), rows)
    assert {name for p in problems for name in loaded.signatures if f"signature '{name}'" in p} == (
        set(loaded.signatures)
    )


def test_not_a_number_is_a_difference(model, loaded, monkeypatch):
    rows, run = stand_in.make_rows(3), loaded.run

    def poisoned(*arguments):
        return {k: v * np.nan for k, v in run(*arguments).items() if k != "classes"}

    monkeypatch.setattr(loaded, "run", poisoned)
    problems = score_problems(loaded, model, rows)
    assert len(problems) >= len(loaded.signatures)


def test_a_large_graph(exported):
    assert list(export_check.graph_problems(exported)) == []
    (problem,) = export_check.graph_problems(exported, max_graph_bytes=1000)
    assert "limit is 1,000" in problem


def tensor(dtype="float32", shape=(None,)):
    return tf.TensorSpec(shape, dtype)


@pytest.mark.parametrize(
    ("inputs", "outputs", "match"),
    [
        ({"keras_tensor_3": tensor()}, {"click": tensor()}, "input 'keras_tensor_3' .* no name"),
        ({"args_0_1": tensor()}, {"click": tensor()}, "input 'args_0_1' .* no name"),
        ({"age": tensor()}, {"output_0": tensor()}, "output 'output_0' .* no name"),
        ({"age": tensor(shape=())}, {"click": tensor()}, "'age' .* must be the batch"),
        ({"age": tensor()}, {"click": tensor(shape=(5,))}, "'click' .* must be the batch"),
        ({"age": tensor()}, {"label": tensor("string")}, "'label' .* must end in '_bytes'"),
    ],
)
def test_names_batches_and_strings(inputs, outputs, match):
    import re

    signature = session.Signature(inputs, outputs, "tensorflow/serving/predict")
    (problem,) = export_check.signature_problems({"serving_default": signature})
    assert re.search(match, problem)


def test_what_is_well_named_passes():
    good = session.Signature(
        {"age": tensor(), "inputs": tensor("string"), "output": tensor()},
        {"click": tensor(), "label_bytes": tensor("string"), "unknown_rank": tensor(shape=None)},
        "tensorflow/serving/predict",
    )
    assert list(export_check.signature_problems({"serving_default": good})) == []
    (problem,) = export_check.signature_problems({"other": good})
    assert "'serving_default'" in problem


def test_warm_up_that_would_be_refused(model, loaded, tmp_path):
    described = ExportDescription(model, tmp_path)
    rows = stand_in.make_rows(10)

    def problems(records, largest=None):
        count = warmup.write_warmup(tmp_path, records)
        read, found = export_check.check_warmup(tmp_path, loaded, largest)
        assert read == count
        return found

    def made(names, sizes, rows=rows):
        return warmup.make_records(rows, names, sizes, described.inputs, "ranker")

    assert problems(made(described.signatures, (1, 7))) == []
    (large,) = problems(made(["serving_default"], (1, 9)), largest=8)
    assert "has 9 rows, and a server batches at most 8" in large
    (mixed,) = problems(made(["rank"], (4,)), largest=8)
    assert "mixes batch sizes [1, 4]" in mixed
    bad = stand_in.make_rows(2)
    bad["price"] = bad["price"].astype("float64")
    (wrong,) = problems(made(["serving_default"], (2,), bad))
    assert "'price' must be float32" in wrong
    (many,) = problems(made(["regress"], (1,) * 1001))
    assert "1001 warm-up records" in many
    with tf.io.TFRecordWriter(str(tmp_path / warmup.FILE)) as writer:
        writer.write(b"\xff\xff not a record")
    _, (broken,) = export_check.check_warmup(tmp_path, loaded, None)
    assert "record 0 is not a PredictionLog that runs" in broken


def test_a_batching_export_warms_up_what_batching_allows(tmp_path):
    path = export(
        stand_in.make_small(),
        tmp_path / "m",
        warmup=stand_in.small_rows(9),
        batch_sizes=(4, 8),
        batching=True,
    )
    records = [
        (kind, name, len(next(iter(columns.values()))))
        for kind, name, columns in warmup.read_warmup(path)
    ]
    assert sorted(records) == [
        ("classify", "classify", 4),
        ("classify", "classify", 8),
        ("predict", "serving_default", 4),
        ("predict", "serving_default", 8),
        ("regress", "regress", 4),
        ("regress", "regress", 8),
    ]
