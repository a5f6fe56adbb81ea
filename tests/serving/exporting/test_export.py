import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.serving import export, load_session, versions
from rankup_keras.serving.messages import example_column, to_examples
from rankup_keras.serving.rows import raw_rows
from tests.serving import stand_in

FEW = {"signatures": ["serving_default"]}


@pytest.fixture(scope="module")
def session(exported):
    with load_session(exported) as loaded:
        yield loaded


def candidates_of(rows):
    user = {"user_id", "age", "city", "interests", "history", "user_vector"}
    return {k: v[:1] if k in user else v for k, v in rows.items()}


def test_all_signatures_and_their_names(session):
    assert set(session.signatures) == {
        "serving_default",
        "rank",
        "classify",
        "regress",
        "regress_buy",
        "embed",
    }
    for name in ("serving_default", "rank", "embed"):
        signature = session.signatures[name]
        assert set(signature.inputs) == set(stand_in.make_rows(1))
        assert signature.method == "tensorflow/serving/predict"
    for name in ("classify", "regress", "regress_buy"):
        assert list(session.signatures[name].inputs) == ["inputs"]
    assert session.signatures["classify"].method == "tensorflow/serving/classify"
    assert session.signatures["regress_buy"].method == "tensorflow/serving/regress"
    assert set(session.signatures["serving_default"].outputs) == {"click", "buy"}
    assert set(session.signatures["classify"].outputs) == {"classes", "scores"}
    assert set(session.signatures["regress"].outputs) == {"outputs"}


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_every_signature_equals_the_model(model, session, count):
    rows = stand_in.make_rows(count, seed=count)
    want = stand_in.predict(model, rows)
    got = session.run(rows)
    examples = example_column(to_examples(rows))
    classes = session.run(examples, "classify")
    for index, task in enumerate(["click", "buy"]):
        np.testing.assert_allclose(got[task], want[task], atol=1e-6)
        np.testing.assert_allclose(classes["scores"][:, index], want[task], atol=1e-6)
        assert set(classes["classes"][:, index]) == {task.encode()}
    np.testing.assert_allclose(
        session.run(examples, "regress")["outputs"], want["click"], atol=1e-6
    )
    np.testing.assert_allclose(
        session.run(examples, "regress_buy")["outputs"], want["buy"], atol=1e-6
    )
    pooled = keras.Model(model.input, model.get_layer("pooling").output)
    np.testing.assert_allclose(
        session.run(rows, "embed")["embedding"], pooled(model.features.encode(rows)), atol=1e-6
    )


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_rank_equals_full_rows_in_any_order(model, session, count):
    rows = stand_in.make_rows(count, seed=count)
    request = candidates_of(rows)
    full = {k: v.repeat(count, 0) if len(v) < count else v for k, v in request.items()}
    want = stand_in.predict(model, full)
    got = session.run(request, "rank")
    order = np.random.default_rng(0).permutation(count)
    shuffled = {k: v[order] if len(v) == count > 1 else v for k, v in request.items()}
    again = session.run(shuffled, "rank")
    for task in want:
        np.testing.assert_allclose(got[task], want[task], atol=1e-6)
        np.testing.assert_allclose(again[task], got[task][order], atol=1e-5)


def test_scores_do_not_depend_on_the_batch(session):
    rows = stand_in.make_rows(100)
    whole = session.run(rows)["click"]
    for size in (1, 7):
        part = session.run({k: v[:size] for k, v in rows.items()})["click"]
        np.testing.assert_allclose(part, whole[:size], atol=1e-5)


def test_histories_of_any_width(session):
    rows = stand_in.make_rows(4)
    want = session.run(rows)["click"]
    wide = {**rows, "history": np.pad(rows["history"], [(0, 0), (3, 9_000)], constant_values="")}
    np.testing.assert_allclose(session.run(wide)["click"], want, atol=1e-6)
    none = {**rows, "history": np.empty((4, 0), object)}
    blank = {**rows, "history": np.full((4, 5), "", object)}
    np.testing.assert_allclose(session.run(none)["click"], session.run(blank)["click"])


def test_examples_without_a_list_have_an_empty_one(session):
    rows = stand_in.make_rows(3)
    del rows["history"]
    got = session.run(example_column(to_examples(rows)), "regress")["outputs"]
    rows["history"] = np.full((3, 5), "", object)
    np.testing.assert_allclose(got, session.run(rows)["click"], atol=1e-6)


def test_the_card(exported):
    card = json.loads((exported / "model.json").read_text())
    assert card["name"] == "ranker"
    assert card["tasks"] == ["click", "buy"]
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["versions"]["rankup-keras"] == rk.__version__
    assert card["metrics"] == {"val_click_auc": 0.8}
    assert card["effective_rank"] == {"block_1_mixer": 0.5}
    assert card["columns"]["history"] == {
        "dtype": "string",
        "shape": [None, None],
        "side": "user",
        "max_length": 5,
    }
    assert card["columns"]["genres"]["side"] == "candidate"
    assert [f["type"] for f in card["features"]][:2] == ["Categorical", "Numeric"]
    assert "user49" not in json.dumps(card["features"])
    # 3 batch sizes of 6 signatures.
    assert card["warmup_records"] == 18
    assert card["signatures"]["rank"]["inputs"]["history"] == "string [None, None]"


def test_numbers_go_up_and_the_old_version_stays(tmp_path):
    model = stand_in.make_small()
    first = export(model, tmp_path / "m", **FEW)
    before = {p: p.stat().st_mtime_ns for p in first.rglob("*")}
    assert export(model, tmp_path / "m", version=40, **FEW).name == "40"
    assert export(model, tmp_path / "m", **FEW).name == "41"
    assert versions(tmp_path / "m") == [1, 40, 41]
    assert sorted(os.listdir(tmp_path / "m")) == ["1", "40", "41"]
    assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == before
    assert not (first / "assets.extra").exists()
    with pytest.raises(FileExistsError, match="version=40"):
        export(model, tmp_path / "m", version=40, **FEW)


def test_user_columns_can_be_named(tmp_path):
    model = stand_in.make_small()
    path = export(
        model, tmp_path / "m", signatures=["serving_default", "rank"], user_columns=["item_id"]
    )
    rows = stand_in.small_rows(5)
    with load_session(path) as loaded:
        got = loaded.run({**rows, "item_id": rows["item_id"][:1]}, "rank")
    want = stand_in.predict(model, {**rows, "item_id": rows["item_id"][[0] * 5]})
    np.testing.assert_allclose(got["click"], want["click"], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"user_columns": ["nobody"]}, ValueError, r"`user_columns` .* Received: \['nobody'\]"),
        ({"signatures": ["rank"]}, ValueError, "`signatures` must have 'serving_default'"),
        ({"signatures": ["serving_default", "x"]}, ValueError, "`signatures` must have"),
        ({"batch_sizes": ()}, ValueError, "`batch_sizes` must be positive"),
        ({"batch_sizes": (0, 3)}, ValueError, "`batch_sizes` must be positive"),
        ({"version": -2}, ValueError, "`version` must be an integer"),
        ({"warmup": {"user_id": ["a"]}}, ValueError, "missing"),
        ({"warmup": stand_in.make_rows(0)}, ValueError, "`warmup` must have at least one row"),
    ],
)
def test_wrong_arguments_write_nothing(model, tmp_path, arguments, error, match):
    with pytest.raises(error, match=match):
        export(model, tmp_path / "m", **arguments)
    assert not (tmp_path / "m").exists() or os.listdir(tmp_path / "m") == []


def test_a_model_without_features(tmp_path):
    with pytest.raises(ValueError, match="attribute `features`"):
        export(keras.Sequential([keras.layers.Dense(1)]), tmp_path / "m")


def test_warm_up_rows_from_a_frame_and_a_dataset(model):
    rows = stand_in.make_rows(9)
    frame = pd.DataFrame({k: list(v) if v.ndim > 1 else v for k, v in rows.items()})
    frame["label"] = 1
    tensors = {k: tf.constant(v.tolist() if v.dtype == object else v) for k, v in rows.items()}
    dataset = tf.data.Dataset.from_tensor_slices((tensors, np.ones(9))).batch(4)
    spec = model.features.raw_spec()
    want = stand_in.predict(model, rows)["click"]
    for data in (frame, dataset, (rows, np.ones(9))):
        for limit, count in ((6, 6), (1000, 9)):
            got = raw_rows(data, spec, limit)
            assert {len(v) for v in got.values()} == {count}
            assert {k: v.dtype for k, v in got.items()} == {k: v.dtype for k, v in rows.items()}
            np.testing.assert_allclose(
                stand_in.predict(model, got)["click"], want[:count], atol=1e-6
            )


def test_batches_whose_lists_differ_in_width(model):
    def batches():
        for width in (2, 7):
            yield stand_in.make_rows(3, seed=width, history=width)

    spec = {k: tf.TensorSpec(s.shape, s.dtype) for k, s in model.features.raw_spec().items()}
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    got = raw_rows(dataset, model.features.raw_spec(), 100)
    want = [stand_in.predict(model, rows)["buy"] for rows in batches()]
    np.testing.assert_allclose(stand_in.predict(model, got)["buy"], np.concatenate(want), atol=1e-6)


def test_a_trained_models_metrics_are_on_the_card(tmp_path):
    model = stand_in.make_small()
    rows = model.features.encode(stand_in.small_rows(16))
    labels = {"click": np.ones((16, 1))}
    model.compile("sgd", loss="binary_crossentropy")
    model.fit(rows, labels, epochs=2, verbose=0)
    path = export(model, tmp_path / "m", **FEW)
    card = json.loads((path / "model.json").read_text())
    assert card["metrics"]["loss"] == model.history.history["loss"][-1]


@pytest.mark.processes
def test_an_export_needs_no_serving_api(tmp_path):
    """With warm-up records, in a process that has neither the API nor gRPC."""
    code = f"""
import sys
sys.modules["tensorflow_serving"] = sys.modules["grpc"] = None
sys.path.insert(0, {str(pathlib.Path(__file__).parents[3])!r})
from tests.serving import stand_in
from rankup_keras.serving import export
path = export(stand_in.make_small(), {str(tmp_path / "m")!r}, warmup=stand_in.small_rows(5))
assert (path / "assets.extra" / "tf_serving_warmup_requests").is_file()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
