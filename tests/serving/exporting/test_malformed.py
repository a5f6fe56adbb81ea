"""Fifty kinds of malformed request: each a clear error or a documented score; the server lives."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from rankup_keras.serving.client import messages
from tests.serving import stand_in

ROWS = stand_in.make_rows(4, seed=8)
ARGUMENT = ("INVALID_ARGUMENT",)
# The real server refuses unknown signatures either way, by call.
SIGNATURE = ("FAILED_PRECONDITION", "INVALID_ARGUMENT")


def change(**columns):
    return {k: v for k, v in {**ROWS, **columns}.items() if v is not None}


def request(columns, signature="serving_default", name="ranker", outputs=()):
    request = messages.make_request("predict", columns, name, signature)
    request.output_filter.extend(outputs)
    return request


def edited(column, edit):
    made = request(ROWS)
    edit(made.inputs[column])
    return made


def texts(*values):
    return np.array(values, object)


REFUSED = {
    # name: (request, statuses, part of the message)
    "no columns": (request({}), ARGUMENT, ""),
    "a missing column": (request(change(age=None)), ARGUMENT, "age"),
    "two missing columns": (request(change(age=None, shop=None)), ARGUMENT, "shop"),
    "an extra column": (request(change(color=texts("red"))), ARGUMENT, "color"),
    "a misnamed column": (
        request({k.replace("price", "Price"): v for k, v in ROWS.items()}),
        ARGUMENT,
        "rice",
    ),
    "float64 for float32": (request(change(age=ROWS["age"].astype("f8"))), ARGUMENT, "age"),
    "float16 for float32": (request(change(age=ROWS["age"].astype("f2"))), ARGUMENT, "age"),
    "int32 for int64": (request(change(city=ROWS["city"].astype("i4"))), ARGUMENT, "city"),
    "uint8 for int64": (request(change(city=np.zeros(4, "u1"))), ARGUMENT, "city"),
    "bool for int64": (request(change(city=np.zeros(4, "?"))), ARGUMENT, "city"),
    "float for int64": (request(change(city=np.zeros(4, "f4"))), ARGUMENT, "city"),
    "int64 for float32": (request(change(price=np.zeros(4, "i8"))), ARGUMENT, "price"),
    "string for float32": (request(change(price=texts(*"1234"))), ARGUMENT, "price"),
    "int64 for string": (request(change(item_id=np.arange(4))), ARGUMENT, "item_id"),
    "float32 for string": (request(change(user_id=np.ones(4, "f4"))), ARGUMENT, "user_id"),
    "a scalar": (request(change(age=np.float32(0.5))), ARGUMENT, "age"),
    "a scalar string": (request(change(shop=np.array("a", object))), ARGUMENT, "shop"),
    "a column of columns": (request(change(price=ROWS["price"][:, None])), ARGUMENT, "price"),
    "a flat list column": (request(change(history=texts(*"abcd"))), ARGUMENT, "history"),
    "a deep list column": (
        request(change(history=ROWS["history"][:, :, None])),
        ARGUMENT,
        "history",
    ),
    "a narrow vector": (request(change(user_vector=np.zeros((4, 2), "f4"))), ARGUMENT, "user_ve"),
    "a wide vector": (request(change(item_vector=np.zeros((4, 90), "f4"))), ARGUMENT, "item_ve"),
    "an empty vector": (request(change(item_vector=np.zeros((4, 0), "f4"))), ARGUMENT, "item_ve"),
    "a flat vector": (request(change(item_vector=np.zeros(8, "f4"))), ARGUMENT, "item_ve"),
    "a short column": (request(change(price=ROWS["price"][:3])), ARGUMENT, "price"),
    "a long column": (request(change(price=np.zeros(5, "f4"))), ARGUMENT, "price"),
    "one empty column": (request(change(shop=texts())), ARGUMENT, "shop"),
    "a short history": (request(change(history=ROWS["history"][:1])), ARGUMENT, "history"),
    "an unknown output": (request(ROWS, outputs=["sell"]), ARGUMENT, "sell"),
    "an output twice": (request(ROWS, outputs=["buy", "buy"]), ARGUMENT, "buy"),
    "an unknown signature": (request(ROWS, "absent"), SIGNATURE, "absent"),
    "an unknown model": (request(ROWS, name="nobody"), ("NOT_FOUND",), "nobody"),
    "no model": (request(ROWS, name=""), ("INVALID_ARGUMENT", "NOT_FOUND"), ""),
    "too few bytes": (
        edited("age", lambda t: setattr(t, "tensor_content", b"\0" * 7)),
        ARGUMENT,
        "",
    ),
    "no dtype": (edited("age", lambda t: t.ClearField("dtype")), ARGUMENT, ""),
    "a negative size": (
        edited("age", lambda t: setattr(t.tensor_shape.dim[0], "size", -4)),
        ARGUMENT,
        "",
    ),
    "a terabyte by claim": (
        edited("age", lambda t: setattr(t.tensor_shape.dim[0], "size", 2**40)),
        ARGUMENT,
        "",
    ),
    "rank for two users": (request(change(), "rank"), ARGUMENT, "exactly one row"),
    "rank for no user": (
        request(
            {
                **stand_in.candidates_of(ROWS),
                **{k: v[:0] for k, v in stand_in.candidates_of(ROWS).items() if len(v) == 1},
            },
            "rank",
        ),
        ARGUMENT,
        "exactly one row",
    ),
    "rank with unequal candidates": (
        request({**stand_in.candidates_of(ROWS), "price": ROWS["price"][:2]}, "rank"),
        ARGUMENT,
        "price",
    ),
    "rank with users of unequal length": (
        request({**stand_in.candidates_of(ROWS), "age": ROWS["age"][:2]}, "rank"),
        ARGUMENT,
        "age",
    ),
    "rows for classify": (request(ROWS, "classify"), ARGUMENT, "inputs"),
    "bytes that are no example": (
        request({"inputs": texts(b"\xff\xfe nonsense")}, "classify"),
        ARGUMENT,
        "",
    ),
    "an empty example": (request({"inputs": texts(b"")}, "regress"), ARGUMENT, "required"),
    "a matrix of examples": (
        request({"inputs": texts(b"", b"")[:, None]}, "regress"),
        ARGUMENT,
        "",
    ),
}


def example(rows):
    return {"inputs": texts(*messages.to_examples(rows))}


REFUSED["an example without a column"] = (
    request(example(change(price=None)), "regress"),
    ARGUMENT,
    "price",
)
REFUSED["an example with a wrong type"] = (
    request(example(change(price=np.arange(4))), "regress"),
    ARGUMENT,
    "price",
)
REFUSED["an example with two values for one"] = (
    request(example(change(price=np.zeros((4, 2), "f4"))), "regress"),
    ARGUMENT,
    "price",
)

SCORED = {
    # name: (columns, the columns that they count as)
    "an empty batch": ({k: v[:0] for k, v in ROWS.items()},) * 2,
    "a history of 10,000": (
        change(history=np.full((4, 10_000), "item3", object)),
        change(history=np.full((4, 5), "item3", object)),
    ),
    "a history of width 0": (
        change(history=np.empty((4, 0), object)),
        change(history=np.full((4, 1), "", object)),
    ),
    "NaN is missing": (
        change(price=np.full(4, np.nan, "f4")),
        change(price=np.full(4, np.inf, "f4")),
    ),
    "a vector with NaN is missing": (
        change(item_vector=np.full((4, 2), np.nan, "f4")),
        change(item_vector=np.zeros((4, 2), "f4")),
    ),
    "a huge number is clipped": (
        change(price=np.full(4, 3e38, "f4")),
        change(price=np.full(4, 1e6, "f4")),
    ),
    "a string of a megabyte is unknown": (
        change(item_id=texts(*["x" * 2**20] * 4)),
        change(item_id=texts(*["unheard of"] * 4)),
    ),
    "bytes that are no UTF-8 are unknown": (
        change(item_id=texts(*[b"\xff\xfe\x00"] * 4)),
        change(item_id=texts(*["unheard of"] * 4)),
    ),
    "an id out of range is unknown": (
        change(city=np.full(4, 2**62)),
        change(city=np.full(4, 20)),
    ),
    "a negative id is unknown": (change(city=np.full(4, -7)), change(city=np.full(4, 20))),
}


@pytest.fixture(scope="module")
def stub(served):
    with grpc.insecure_channel(served.address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def test_there_are_fifty():
    assert len(REFUSED) + len(SCORED) >= 50


# The real server's own check of dtypes names a position in place of the column.
DTYPES = {kind for kind in REFUSED if kind.partition(" for ")[2] in ("float32", "int64", "string")}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_clear_error(served, stub, kind):
    wrong, statuses, part = REFUSED[kind]
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(wrong, timeout=30)
    assert caught.value.code().name in statuses, caught.value.details()
    if not (served.real and kind in DTYPES):
        assert part in caught.value.details()
    assert stub.Predict(request(ROWS), timeout=30).outputs["click"].tensor_shape.dim[0].size == 4


@pytest.mark.parametrize("kind", SCORED)
def test_a_documented_score(model, stub, kind):
    columns, meaning = SCORED[kind]
    got = messages.read_tensors(stub.Predict(request(columns), timeout=30).outputs)
    want = stand_in.predict(model, meaning)
    for task, scores in want.items():
        assert np.isfinite(got[task]).all()
        np.testing.assert_allclose(got[task], scores, atol=1e-6)


def test_calls_of_the_wrong_kind(stub):
    classify = messages.make_request("classify", example(ROWS), "ranker", "serving_default")
    with pytest.raises(grpc.RpcError) as caught:
        stub.Classify(classify, timeout=30)
    assert caught.value.code().name in SIGNATURE
    empty = messages.make_request("regress", messages.example_column([]), "ranker", "regress")
    with pytest.raises(grpc.RpcError) as caught:
        stub.Regress(empty, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stub.Predict(request(ROWS), timeout=30)


def test_answers_of_tensorflows_own_tensors(stub):
    """Requests as other clients make them: `tf.make_tensor_proto`, typed fields."""
    made = request(ROWS)
    for name, value in ROWS.items():
        proto = tf.make_tensor_proto(value.tolist() if value.dtype == object else value)
        if value.dtype == np.int64:
            proto = tf.compat.v1.make_tensor_proto(value)
            proto.ClearField("tensor_content")
            proto.int64_val.extend(value.tolist())
        made.inputs[name].CopyFrom(proto)
    got = stub.Predict(made, timeout=30).outputs["click"]
    want = stub.Predict(request(ROWS), timeout=30).outputs["click"]
    np.testing.assert_array_equal(tf.make_ndarray(got), tf.make_ndarray(want))
