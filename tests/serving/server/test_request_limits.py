import contextlib
import os
import resource

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, regression_pb2

from rankup_keras.serving import ServingError
from rankup_keras.serving.client import messages
from rankup_keras.serving.server import request_limits
from rankup_keras.serving.server.request_limits import RequestLimits, expanded_size
from tests.serving import stand_in

INT64, STRING = 9, 7


def tensor(dims, dtype=INT64, **values):
    """A request of one column that claims a shape, whatever it holds."""
    request = predict_pb2.PredictRequest()
    column = request.inputs["city"]
    column.dtype = dtype
    for size in dims:
        column.tensor_shape.dim.add(size=size)
    for field, items in values.items():
        getattr(column, field).extend(items)
    return request


def examples(rows, width):
    """A request of examples, one of which has a long list, to which all are padded."""
    request = regression_pb2.RegressionRequest()
    added = [request.input.example_list.examples.add() for _ in range(rows)]
    added[0].features.feature["history"].int64_list.value.extend([1] * width)
    return request


TOO_MUCH = {
    "rows": lambda: tensor([100_000_000], int64_val=[1]),
    "rows without values": lambda: tensor([100_001]),
    "width": lambda: tensor([3, 10**9], int64_val=[1]),
    "a long string, repeated": lambda: tensor([90_000], STRING, string_val=[b"x" * 4000]),
    "beyond int64": lambda: tensor([2**62, 2**62], int64_val=[1]),
    "a negative size": lambda: tensor([-1]),
    "rank": lambda: tensor([1] * 9),
    "a long list among many": lambda: examples(50_000, 1_000),
    "examples": lambda: examples(100_001, 0),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_a_request_that_claims_too_much_is_refused(what):
    with pytest.raises(ServingError) as caught, RequestLimits().admit(TOO_MUCH[what]()):
        pytest.fail("admitted")
    assert caught.value.code == "INVALID_ARGUMENT"


def test_sizes_are_those_after_expansion():
    assert expanded_size(tensor([7], int64_val=[1]))[0] == 7
    assert expanded_size(tensor([0, 5])) == (0, expanded_size(tensor([0, 5]))[1])
    assert expanded_size(tensor([]))[0] == 1
    short, long = (
        tensor([9], STRING, string_val=[b"x"]),
        tensor([9], STRING, string_val=[b"x" * 99]),
    )
    assert expanded_size(long)[1] - expanded_size(short)[1] == 9 * 98


def test_requests_share_what_is_there():
    limits, large = RequestLimits(), tensor([request_limits.MAX_ROWS])
    with limits.admit(large), limits.admit(large):
        full = pytest.raises(ServingError, match="Threadpool Exhausted")
        with full as caught, limits.admit(large):
            pytest.fail("admitted")
        assert caught.value.code == "RESOURCE_EXHAUSTED"
    with contextlib.suppress(ZeroDivisionError), limits.admit(large):
        raise ZeroDivisionError
    with limits.admit(large), limits.admit(large):
        pass


def test_a_small_message_takes_no_memory(development):
    """It took 7 GB."""
    columns = stand_in.make_rows(1)
    request = messages.make_request("predict", columns, "ranker")
    for name in columns:
        request.inputs[name].tensor_shape.dim[0].size = 100_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stub = messages.serving_api("apis.prediction_service_pb2_grpc").PredictionServiceStub
    refused = pytest.raises(grpc.RpcError)
    with grpc.insecure_channel(development.address) as channel, refused as caught:
        stub(channel).Predict(request, timeout=30)
    assert "claims 100,000,000 rows" in caught.value.details()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_mutated_requests_are_answered(development):
    """Bytes changed, cut out, doubled: a status each time, and no crash, hang or blame.

    RANKUP_KERAS_MUTATIONS=10000 is the long form.
    """
    rng = np.random.default_rng(0)
    request = messages.make_request("predict", stand_in.make_rows(3), "ranker")
    good = request.SerializeToString(deterministic=True)
    refused = set()
    with grpc.insecure_channel(development.address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for _ in range(int(os.environ.get("RANKUP_KERAS_MUTATIONS", "300"))):
            data = bytearray(good)
            for _ in range(rng.integers(1, 3)):
                start, length = rng.integers(len(data)), rng.integers(1, 4)
                part = data[start : start + length]
                new = (rng.bytes(len(part)), b"", bytes(part) * 3)[rng.integers(3)]
                data[start : start + length] = new
            try:
                call(bytes(data), timeout=5)
            except grpc.RpcError as error:
                refused.add((error.code().name, error.details()[:20]))
        assert call(good, timeout=5)
    codes = {code for code, _ in refused}
    # gRPC itself says INTERNAL of bytes that are no message.
    internal = {details for code, details in refused if code == "INTERNAL"}
    assert internal <= {"Exception deserializi"[:20]}
    assert codes <= {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "INTERNAL"}
    assert "INVALID_ARGUMENT" in codes
