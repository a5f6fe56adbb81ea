"""What the real server refuses and holds up, in front of the development server.

It has the faults that a `tensorflow_model_server` showed: calls beyond its threads are refused,
with batching a request without rows waits until another one joins its batch and columns of unequal
length are refused, and its socket can be closed and opened again.
"""

import contextlib
import threading
import time
from concurrent import futures

import grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

_MANY = 256


class StrictServer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Passes calls on to another server.

    Args:
        address: of that server.

    Attributes:
        threads: calls at a time; one thread waits for calls, so that one less is served.
        batching: whether it batches.
        seconds: how long each call takes, at least.
        failures: statuses to answer with before anything else.
        calls: names of the methods that were called.
    """

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.threads, self.batching, self.seconds = 8, False, 0.0
        self.failures, self.calls, self.requests = [], [], []
        self._lock, self._joined = threading.Lock(), threading.Event()
        self._busy, self._server, self.port = 0, None, 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        """Opens the socket, at the same port as before."""
        self._server = grpc.server(
            futures.ThreadPoolExecutor(_MANY), options=[("grpc.so_reuseport", 0)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def stop(self):
        """Closes the socket, whatever is under way."""
        self._joined.set()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def Predict(self, request, context):  # noqa: N802
        return self._answer("Predict", request, context)

    def Classify(self, request, context):  # noqa: N802
        return self._answer("Classify", request, context)

    def Regress(self, request, context):  # noqa: N802
        return self._answer("Regress", request, context)

    def GetModelMetadata(self, request, context):  # noqa: N802
        return self._answer("GetModelMetadata", request, context)

    def _answer(self, name, request, context):
        with self._a_thread(context):
            with self._lock:
                self.calls.append(name)
                self.requests.append(request)
                failure = self.failures.pop(0) if self.failures else None
            if failure:
                context.abort(grpc.StatusCode[failure], "on purpose")
            time.sleep(self.seconds)
            if self.batching and name == "Predict":
                self._batch(request, context)
            try:
                return getattr(self._stub, name)(request, timeout=60)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

    @contextlib.contextmanager
    def _a_thread(self, context):
        with self._lock:
            self._busy += 1
            exhausted = self._busy >= self.threads
        try:
            if exhausted:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _batch(self, request, context):
        lengths = {column.tensor_shape.dim[0].size for column in request.inputs.values()}
        if len(lengths) > 1:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                "Batching Run() input tensors must have equal 0th-dimension size",
            )
        if lengths == {0}:
            while not self._joined.wait(0.01) and context.is_active():
                pass
        else:
            self._joined.set()
