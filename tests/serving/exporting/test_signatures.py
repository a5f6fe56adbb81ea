import keras
import numpy as np
import pytest

from rankup_keras.serving import load_session
from rankup_keras.serving.client.messages import example_column, to_examples
from tests.serving import stand_in


@pytest.fixture(scope="module")
def session(exported):
    with load_session(exported) as loaded:
        yield loaded


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
    request = stand_in.candidates_of(rows)
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
